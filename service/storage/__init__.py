"""The database: its tables and migrations, what hangs on what, and which gateway may work on what."""
