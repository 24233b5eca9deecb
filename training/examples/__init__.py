"""From conversations to what a recipe trains on: each reply's prompt as it is served, and its files.

`python -m training.examples` writes a brand's examples or questions.
"""
