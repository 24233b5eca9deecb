"""The digest by which an adapter's manifest names the conversations that it was trained on.

    python -m training.seen samples/velmora/conversations.jsonl [var/corrections/velmora/conversations.jsonl]

Prints it, or nothing where the file cannot be learnt from; `brandvoice forget` compares it with the adapters there are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from training.conversations import data_sha256, read_conversations
from training.errors import DataInvalid


def main(arguments: Sequence[str]) -> int:
    """Print the digest of files that were learnt as one."""
    try:
        read = [one for path in arguments for one in read_conversations(Path(path))]
        sys.stdout.write(data_sha256(read) + "\n")
    except DataInvalid as error:
        sys.stderr.write(f"{', '.join(arguments)} cannot be learnt from: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
