"""How long a test waits for what will come."""

PATIENCE_S = 120.0
"""A limit against hanging, never a measure: a busy machine needs many times what a quiet one does."""
