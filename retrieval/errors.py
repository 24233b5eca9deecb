"""What can go wrong in retrieval.

RetrievalError
├── DocumentUnreadable   the document's fault: it is skipped, with the reason
├── DocumentUnknown      the caller's fault: no such document in the knowledge base
├── MetadataInvalid      the document's fault: what it says about itself cannot be used
├── VersionUnknown       the caller's fault: no such version of the knowledge
├── IndexCorrupt         files of a version do not match their manifest
├── IndexMismatch        built with another encoder: build it again
├── EncoderInvalid       the encoder's files are missing or changed
└── StorageFull          the disk is full; the version that serves is untouched
"""

from __future__ import annotations


class RetrievalError(Exception):
    """Root of everything that retrieval raises."""


class DocumentUnreadable(RetrievalError):
    """A document that cannot be taken in."""


class DocumentUnknown(RetrievalError):
    """No document of this name."""


class MetadataInvalid(RetrievalError):
    """What a document says about itself cannot be used."""


class VersionUnknown(RetrievalError):
    """No version of this name, or none before the one that serves."""


class IndexCorrupt(RetrievalError):
    """A version's files are not what was written."""


class IndexMismatch(RetrievalError):
    """A version that belongs to another encoder."""


class EncoderInvalid(RetrievalError):
    """The encoder cannot be used."""


class StorageFull(RetrievalError):
    """Nothing could be written; nothing was changed."""
