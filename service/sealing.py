"""Text that only this deployment can make and read: tokens at rest, links and cookies that come back to us."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from configs.errors import ConfigError

MIN_KEY_CHARS = 32


class SealBroken(Exception):
    """Not ours, changed on the way, made for something else, or too old."""


class Sealer:
    """Encrypts with the newest key, reads with all: Fernet (AES-128-CBC with HMAC-SHA256), a key for each purpose."""

    def __init__(
        self, keys: Sequence[str], *, setting: str = "installations.keys", clock: Callable[[], float] = time.time
    ) -> None:
        """Take the keys.

        Args:
            keys: The newest first; any text of `MIN_KEY_CHARS` characters or more.
            setting: Where the keys are configured.
            clock: Seconds since the epoch.

        Raises:
            ConfigError: There is none, or one is too short.
        """
        if not keys or any(len(key) < MIN_KEY_CHARS for key in keys):
            raise ConfigError(
                f"{setting} needs comma-separated keys of {MIN_KEY_CHARS} characters or more. "
                "Make one with `openssl rand -hex 32`."
            )
        self._keys = tuple(keys)
        self._clock = clock

    @classmethod
    def of(cls, text: str, *, setting: str = "installations.keys", clock: Callable[[], float] = time.time) -> Sealer:
        """From keys side by side, as a secret holds them; raises as the constructor."""
        return cls([key.strip() for key in text.split(",") if key.strip()], setting=setting, clock=clock)

    def seal(self, purpose: str, content: Mapping[str, Any]) -> str:
        """The content as text that is safe in an address."""
        return self._box(purpose).encrypt_at_time(json.dumps(content).encode(), int(self._clock())).decode()

    def open(self, purpose: str, sealed: str, *, max_age_s: float | None = None) -> dict[str, Any]:
        """What was sealed for this purpose.

        Raises:
            SealBroken: See there.
        """
        text, box = sealed.encode(errors="replace"), self._box(purpose)
        try:
            if max_age_s is None:
                plain = box.decrypt(text)
            else:
                plain = box.decrypt_at_time(text, int(max_age_s), int(self._clock()))
        except InvalidToken as error:
            raise SealBroken("This was not sealed here, for something else, or too long ago.") from error
        content: dict[str, Any] = json.loads(plain)
        return content

    def is_current(self, purpose: str, sealed: str) -> bool:
        """Whether it was sealed with the newest key."""
        try:
            _fernet(self._keys[0], purpose).decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def _box(self, purpose: str) -> MultiFernet:
        return MultiFernet([_fernet(key, purpose) for key in self._keys])


def _fernet(key: str, purpose: str) -> Fernet:
    """Source: RFC 5869; the purpose is HKDF's `info`, so that what is sealed for one opens for no other."""
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"brandvoice {purpose}".encode())
    return Fernet(base64.urlsafe_b64encode(derived.derive(key.encode())))
