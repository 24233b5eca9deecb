"""A training run and what it leaves: its folder, how an adapter's begins and ends, the packed adapter, its origin."""
