"""How good search and refusal are, on sets of questions and on one question at a time (kb why)."""
