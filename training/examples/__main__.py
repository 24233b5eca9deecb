"""`python -m training.examples`: see `training.examples.command`."""

import sys

from training.examples.command import main

if __name__ == "__main__":
    sys.exit(main())
