"""Answers corrected by people: proposed, reviewed, accepted, and what becomes of them."""
