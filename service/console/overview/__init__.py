"""The overview: figures, first steps, the alarm on drift."""
