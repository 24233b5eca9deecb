"""The database: its tables and migrations, what hangs on what, and which gateway may work on what."""

# Tables that are not in `tables` are named here, so that whoever copies, forgets or migrates sees them all.
from service.storage import bench_tables as bench_tables
from service.storage import people_tables as people_tables
from service.storage import retraining_tables as retraining_tables
