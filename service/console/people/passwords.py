"""Passwords: argon2id, off the event loop, at most two at a time.

Source: RFC 9106, second recommended setting (64 MiB, 3 passes, 4 lanes), which argon2-cffi has as its default; rules of
length: NIST SP 800-63B-4, 3.1.1.2.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.console.said import Said, _
from service.errors import RequestInvalid

SHORTEST, LONGEST = 12, 200
_HASHER = PasswordHasher()
# Each takes 64 MiB and a core: whoever tries many passwords at once must not take them all.
_POOL = ThreadPoolExecutor(2, thread_name_prefix="passwords")
_NOBODY = _HASHER.hash("nobody has this password")
"""Compared where there is no account, which takes as long."""


def check_rules(password: str) -> None:
    """Raise RequestInvalid unless it is long enough; no rule asks for kinds of characters."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RequestInvalid(
            Said(
                _("A password has %(shortest)s to %(longest)s characters. A few words do well."),
                shortest=SHORTEST,
                longest=LONGEST,
            ),
            param="password",
        )


def check_same(password: str, again: str) -> None:
    """Raise RequestInvalid unless it was typed the same way twice."""
    if password != again:
        raise RequestInvalid(_("The two passwords differ."), param="again")


async def hashed(password: str) -> str:
    """Argon2id of it, with its own salt."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, _HASHER.hash, password)


async def matches(kept: str | None, password: str) -> bool:
    """Whether this password was hashed; where nothing is kept, False after the same time."""
    right = await asyncio.get_running_loop().run_in_executor(_POOL, _verify, kept or _NOBODY, password[:LONGEST])
    return right and kept is not None


def _verify(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
