"""`signature.json` in an adapter folder: the operator's word that this adapter may speak here.

Digests show that a folder was not damaged; whoever can write to it can also write other digests. An HMAC-SHA256 with a
key that only the operator has shows that it was not changed on purpose. It is over what the three JSON files say
(manifest, PEFT's config, proof); the manifest holds the digest of the weights.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from configs.adapter_manifest import CONFIG_FILE, MANIFEST_FILE, read_form, read_json
from configs.adapter_proof import PROOF_FILE
from configs.base_manifest import SHA256
from configs.brand import Strict
from configs.errors import AdapterInvalid, ConfigError
from configs.secrets import read_secret
from configs.service import ServiceConfig
from configs.whole_file import replace_text

SIGNATURE_FILE = "signature.json"
MIN_KEY_CHARS = 32
SIGNED = b"brandvoice adapter 1\n"
"""Before what is signed, so that no signature made for something else fits."""
NAMED = b"brandvoice adapter key\n"

Key = bytes
SignedState = Literal["signed", "unsigned", "another key", "changed"]


class AdapterSignature(Strict):
    """Everything in `signature.json`."""

    schema_: Literal[1] = Field(default=1, alias="schema", description="Version of this form.")
    key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")] = Field(
        description="Which key signed it; tells nothing of the key."
    )
    hmac_sha256: Annotated[str, StringConstraints(pattern=SHA256)]


def signing_keys(service: ServiceConfig, environment: Mapping[str, str]) -> tuple[Key, ...]:
    """The operator's keys, the one that signs first; none where none is set.

    Raises:
        ConfigError: The secret cannot be read, or a key is too short.
    """
    secret = service.adapters.signing_keys
    if secret is None:
        return ()
    keys = tuple(key.strip().encode() for key in read_secret(secret, environment).split(",") if key.strip())
    if not keys or any(len(key) < MIN_KEY_CHARS for key in keys):
        raise ConfigError(
            f"each of adapters.signing_keys needs {MIN_KEY_CHARS} characters or more; make one with "
            "`openssl rand -hex 32`"
        )
    return keys


def sign_adapter(folder: Path, keys: Sequence[Key]) -> AdapterSignature:
    """Sign an adapter that the caller has verified, with the first key.

    Raises:
        AdapterInvalid: One of its files cannot be read.
    """
    key = keys[0]
    signature = AdapterSignature(key=key_name(key), hmac_sha256=_hmac(key, SIGNED + _said(folder)))
    replace_text(folder / SIGNATURE_FILE, json.dumps(signature.model_dump(by_alias=True)) + "\n")
    return signature


def signed_state(folder: Path, keys: Sequence[Key]) -> SignedState:
    """How an adapter's signature stands.

    Raises:
        AdapterInvalid: One of its files cannot be read.
    """
    path = folder / SIGNATURE_FILE
    if not path.exists():
        return "unsigned"
    signature = read_form(path, AdapterSignature, "signature")
    key = next((one for one in keys if hmac.compare_digest(key_name(one), signature.key)), None)
    if key is None:
        return "another key"
    return "signed" if hmac.compare_digest(_hmac(key, SIGNED + _said(folder)), signature.hmac_sha256) else "changed"


def check_signature(folder: Path, keys: Sequence[Key]) -> None:
    """See that one of the keys signed an adapter as it is now.

    Raises:
        AdapterInvalid: Unsigned, signed with another key, or changed since.
    """
    state = signed_state(folder, keys)
    cure = f"brandvoice adapter sign {folder.parent.name}@{folder.name}"
    if state == "unsigned":
        raise AdapterInvalid(
            f"{folder} is not signed, and this deployment takes signed adapters only (adapters.signing_keys); where "
            f"you trust it: {cure}"
        )
    if state == "another key":
        raise AdapterInvalid(
            f"{folder} was signed with another key than those in adapters.signing_keys; put that key back beside the "
            f"new one, or, where you trust the adapter: {cure}"
        )
    if state == "changed":
        raise AdapterInvalid(f"{folder} changed after it was signed; copy or train it again")


def key_name(key: Key) -> str:
    """A name of a key that tells nothing of it."""
    return _hmac(key, NAMED)[:16]


def _said(folder: Path) -> bytes:
    """What the JSON files say, in one form whatever their formatting."""
    said = {name: read_json(folder / name) for name in (MANIFEST_FILE, CONFIG_FILE)}
    # An adapter from before there were proofs has none; one whose proof was taken away is another.
    said[PROOF_FILE] = read_json(folder / PROOF_FILE) if (folder / PROOF_FILE).exists() else None
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _hmac(key: Key, message: bytes) -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()
