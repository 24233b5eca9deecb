"""`python -m training.retriever`: see `training.retriever.train`."""

import sys

from training.retriever.train import main

if __name__ == "__main__":
    sys.exit(main())
