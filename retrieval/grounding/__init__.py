"""Whether an answer holds: each sentence against its passages, promises, and instructions hidden in pages."""
