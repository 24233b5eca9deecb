"""Reading secrets from where a config says that they stand."""

from __future__ import annotations

from collections.abc import Mapping

from configs.errors import ConfigError
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
