"""The console: where people sign in, answer, correct, train and look. One module a story, each with its router."""
