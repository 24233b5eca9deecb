"""The console: where people sign in, answer, correct, train and look.

One room a story, each with its router; what all of them are made of stands beside the rooms.
"""
