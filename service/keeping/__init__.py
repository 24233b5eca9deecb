"""What is kept and for how long: backup, restore, copy, retention, and a person forgotten."""
