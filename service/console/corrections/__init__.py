"""Correct: what was wrong with an answer, and what others say of it."""
