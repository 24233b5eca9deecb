"""Training conversations that a model writes from the brand's documents: marked, checked, and approved before use.

`make` asks and checks, `review` shows them to a person; start reading in `make`. `own_replies` has a base answer
general prompts, against forgetting.
"""
