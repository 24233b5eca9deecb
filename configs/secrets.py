"""Reading secrets from where a config says that they stand, and making those that nobody but us needs to know."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from configs.errors import ConfigError
from configs.home import Home
from configs.service import Secret


def read_secret(secret: Secret, environment: Mapping[str, str]) -> str:
    """The secret itself, without blanks around it.

    Raises:
        ConfigError: The variable or file is missing or empty.
    """
    if secret.env is not None:
        value = environment.get(secret.env, "").strip()
        if not value:
            raise ConfigError(f"the environment variable {secret.env} is not set; set it to the secret")
        return value
    path = secret.file
    if path is None:
        raise ConfigError("a secret names neither a variable nor a file; say either env or file")
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the secret in {path} cannot be read ({type(error).__name__}); write it there, readable for this user"
        ) from error
    if not value:
        raise ConfigError(f"the secret in {path} is empty; write it there")
    return value


def secret_file(home: Home, name: str, make: Callable[[], str]) -> Path:
    """The file of one secret, made when it is first asked for; two who ask at once get the same."""
    path = home.secrets / name
    if not path.exists():
        home.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Temporary files are for their owner only. Linking fails where another process was first, and its secret stays.
        with tempfile.NamedTemporaryFile("w", dir=home.secrets, prefix=".new-", encoding="utf-8") as file:
            file.write(make())
            file.flush()
            try:
                os.link(file.name, path)
            except FileExistsError:
                return path
    return path
