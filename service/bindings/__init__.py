"""Which brand answers which account: apps of the configuration, and those that an account installed itself."""
