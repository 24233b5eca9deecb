"""Train: choose, look, start, watch, let it speak or not."""
