"""A reply on its way to its platform: kept, sent in time and at its pace, and what is known of its arrival."""
