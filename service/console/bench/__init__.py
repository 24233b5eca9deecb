"""The voice bench: one question, several voices, blind votes."""
