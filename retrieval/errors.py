"""What can go wrong in retrieval.

RetrievalError
├── DocumentUnreadable   the document's fault: it is skipped, with the reason
├── DocumentUnknown      the caller's fault: no such document in the knowledge base
├── IndexCorrupt         files of a version do not match their manifest
├── IndexMismatch        built with another encoder: build it again
├── EncoderInvalid       the encoder's files are missing or changed
├── IntentsInvalid       examples of intents, or a trained classifier, that cannot be used
└── StorageFull          the disk is full; the version that serves is untouched
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Root of everything that retrieval raises."""


class DocumentUnreadable(RetrievalError):
    """A document that cannot be taken in."""


class DocumentUnknown(RetrievalError):
    """No document of this name."""


class IndexCorrupt(RetrievalError):
    """A version's files are not what was written."""


class IndexMismatch(RetrievalError):
    """A version that belongs to another encoder."""


class EncoderInvalid(RetrievalError):
    """The encoder cannot be used."""


class IntentsInvalid(RetrievalError):
    """Examples that cannot be learnt from, or a classifier that is damaged or belongs to another encoder."""


class StorageFull(RetrievalError):
    """Nothing could be written; nothing was changed."""
