"""Errors as an operator reads them: what, why, what to try, in three lines on stderr."""

from __future__ import annotations

import errno
import re
import sys

FAILED = 1
WRONG_USE = 2
REFUSED = 3


class Failure(Exception):
    """A command could not do its work."""

    def __init__(self, what: str, why: str, cure: str, *, code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.cure = cure
        self.code = code


def show(failure: Failure) -> None:
    """Three lines on stderr."""
    sys.stderr.write(f"error: {failure.what}\n  why: {failure.why}\n  try: {failure.cure}\n")


def explain(error: BaseException) -> Failure | None:
    """The failure behind an error of ours or of the machine; None for what nobody foresaw."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError):
        return _machine(error)
    return _ours(error)


def _ours(error: BaseException) -> Failure | None:
    from channels.errors import ChannelError
    from configs.errors import AdapterInvalid, ConfigError
    from retrieval.errors import (
        DocumentUnknown,
        DocumentUnreadable,
        IntentsInvalid,
        LinesInvalid,
        RetrievalError,
        VersionUnknown,
    )
    from service.errors import (
        AdapterUnknown,
        ArchiveInvalid,
        BrandUnknown,
        ConversationUnknown,
        HomeInUse,
        PromotionRefused,
        ServiceError,
        StorageError,
        TakenByAnother,
    )

    rules: tuple[tuple[type[BaseException], str, str, int], ...] = (
        (AdapterInvalid, "the adapter is refused", "brandvoice adapter list", REFUSED),
        (ConfigError, "the configuration cannot be used", "brandvoice config show", FAILED),
        (DocumentUnknown, "there is no such document", "brandvoice kb list", WRONG_USE),
        (VersionUnknown, "there is no such version", "brandvoice kb versions", WRONG_USE),
        (LinesInvalid, "the file cannot be used", "correct the lines named above", FAILED),
        (DocumentUnreadable, "nothing was taken in", "another file, folder or address", FAILED),
        (IntentsInvalid, "the intents cannot be used", "brandvoice intents --help", FAILED),
        (RetrievalError, "the knowledge base cannot do this", "brandvoice doctor", FAILED),
        (ChannelError, "the channel cannot be used", "brandvoice config check", FAILED),
        (AdapterUnknown, "there is no such adapter", "brandvoice adapter list", WRONG_USE),
        (
            PromotionRefused,
            "the adapter may not speak",
            "read the report that `brandvoice eval` made, or answer for it: --override REASON --by NAME",
            REFUSED,
        ),
        (TakenByAnother, "another person has the conversation", "take it from them with --force", REFUSED),
        (ConversationUnknown, "there is no such conversation", "brandvoice conversations list", WRONG_USE),
        (BrandUnknown, "there is no such brand", "brandvoice config show", WRONG_USE),
        (ArchiveInvalid, "the archive is refused", "another archive", FAILED),
        (HomeInUse, "nothing was restored", "--force replaces what is there", WRONG_USE),
        (StorageError, "the database cannot do this", "brandvoice doctor", FAILED),
        (ServiceError, "the service cannot do this", "brandvoice doctor", FAILED),
    )
    for kind, what, cure, code in rules:
        if isinstance(error, kind):
            why, advice = split_advice(str(error))
            return Failure(what, why, advice or cure, code=code)
    return None


def _machine(error: OSError) -> Failure:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("the disk is full", f"nothing more can be written{where}", "free some space, then run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Failure(
            "a file may not be used",
            f"{error.strerror}{where}",
            "check its rights, or set BRANDVOICE_HOME to a folder that this user can write",
        )
    return Failure(
        "the machine refused", f"{error.strerror or error}{where}", "brandvoice doctor looks at disk, memory and ports"
    )


def split_advice(message: str) -> tuple[str, str]:
    """A message of ours as (why, what to try): the advice is its last clause or sentence.

    >>> split_advice("there is no x.yaml; write it")
    ('there is no x.yaml', 'write it')
    >>> split_advice("Port 80 is in use. Choose another.")
    ('Port 80 is in use', 'Choose another')
    """
    text = message.strip()
    ends = [found.span() for found in re.finditer(r"; (?=\S)|\. (?=[A-Z`])|: (?=retrain)", text)]
    if not ends:
        return text.rstrip("."), ""
    start, end = ends[-1]
    return text[:start].strip(), text[end:].strip().rstrip(".")
