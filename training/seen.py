"""The digest by which an adapter's manifest names the conversations that it was trained on.

    python -m training.seen samples/velmora/conversations.jsonl

Prints it, or nothing where the file cannot be learnt from; `brandvoice forget` compares it with the adapters there are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from training.conversations import data_sha256, read_conversations
from training.errors import DataInvalid


def main(arguments: Sequence[str]) -> int:
    """Print the digest of one file."""
    try:
        sys.stdout.write(data_sha256(read_conversations(Path(arguments[0]))) + "\n")
    except DataInvalid as error:
        sys.stderr.write(f"{arguments[0]} cannot be learnt from: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
