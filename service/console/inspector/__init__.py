"""The answer inspector: why a turn was answered as it was."""
