"""Training of a brand's search: pairs from its pages, the encoder or cross-encoder, and the gate for it."""
