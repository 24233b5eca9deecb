"""Chunks that say the same: one of them is searched, the others are its aliases.

Two chunks are duplicates when they hold the same words in the same order under the same heading, however these are
written (capitals, punctuation, accents, inflection) and joined (articles, forms of "be"). A threshold on shingles
(Jaccard >= 0.9) would fold more and lose facts: in a chunk of a hundred words it takes "opened" for "unopened", and one
price for another. What counts as the same here is an equality, so the result does not depend on the order of adding.
"""

from __future__ import annotations

import hashlib
import re

from retrieval.documents.splitting import searchable
from retrieval.language.words import fold, stem, word_list
from retrieval.passages import Chunk

IDLE = frozenset(word_list("a an the please kindly also just that which is are was were be been am has have had of"))
"""Words that may differ. Pronouns and prepositions are none of them: "you pay" is not "we pay"."""
_WORD = re.compile(r"[^\W_]+(?:['.,:/-][^\W_]+)*|[$€£¥%+<>=]")
"""Figures stay whole (`6.50`, `10:30`, `1-2`), and signs that change what a figure says count."""


def same_as(chunk: Chunk) -> int:
    """A number that two chunks share when they say the same (64 bits of a digest)."""
    kept = [
        stem(word) if word.isalpha() else word for word in _WORD.findall(fold(searchable(chunk))) if word not in IDLE
    ]
    return int.from_bytes(hashlib.blake2b("\n".join(kept).encode(), digest_size=8).digest(), "big")
