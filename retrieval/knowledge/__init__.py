"""A brand's knowledge base on disk: segments, immutable versions, their indexes, and how they grow."""
