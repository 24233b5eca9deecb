"""What we claim, as commands: each prints a table with peers beside us, from one run."""
