"""`python -m service.cli` is `brandvoice`."""

from service.cli import main

if __name__ == "__main__":
    main()
