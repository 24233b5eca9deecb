"""People of the console: accounts, links, passwords, sessions, signing in."""
