"""`brandvoice adapter sign`, and what signed adapters mean for promoting and installing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.adapter_signature import SIGNATURE_FILE, key_name, sign_adapter, signed_state
from configs.adapter_terms import Terms
from configs.home import Home
from configs.load import load_config
from service.engines.adapters import install_shipped, promote
from service.engines.promotion import Override
from tests.unit.cli.conftest import Cli
from tests.unit.made_adapters import make_adapter

OLD, NEW = "o" * 32, "n" * 32


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_KEYS", f"{NEW},{OLD}")
    monkeypatch.setenv("BRANDVOICE_ADAPTERS__SIGNING_KEYS__ENV", "ADAPTER_KEYS")


def state(folder: Path) -> str:
    return signed_state(folder, (NEW.encode(), OLD.encode()))


def test_without_a_key_nothing_can_be_signed(cli: Cli, home: Path) -> None:
    make_adapter(Home(home), "velmora")
    done = cli("adapter", "sign", "velmora@1")
    assert done.code == 1
    assert "adapters.signing_keys is not set" in done.err


@pytest.mark.parametrize("words", [(), ("velmora@1", "--all")])
def test_either_one_adapter_or_all_are_signed(cli: Cli, home: Path, keys: None, words: tuple[str, ...]) -> None:
    make_adapter(Home(home), "velmora")
    assert cli("adapter", "sign", *words).code == 2


def test_an_unsigned_adapter_is_promoted_once_it_is_signed(cli: Cli, home: Path, keys: None) -> None:
    make_adapter(Home(home), "velmora")
    promote = ("adapter", "promote", "velmora@1", "--override", "a test", "--by", "a test")
    refused = cli(*promote)
    assert refused.code == 3
    assert "not signed" in refused.err
    assert cli("adapter", "sign", "velmora@1", "--json").json["signed"] == ["velmora@1"]
    done = cli(*promote)
    assert done.code == 0, done.err


def test_all_signs_anew_what_the_old_key_signed_and_leaves_out_what_it_cannot_trust(
    cli: Cli, home: Path, keys: None
) -> None:
    folders = {name: make_adapter(Home(home), "velmora", name) for name in ("bare", "old", "foreign", "changed")}
    sign_adapter(folders["old"], (OLD.encode(),))
    sign_adapter(folders["foreign"], (b"f" * 32,))
    sign_adapter(folders["changed"], (OLD.encode(),))
    manifest = folders["changed"] / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"parent": "x"}))
    damaged = make_adapter(Home(home), "velmora", "damaged")
    (damaged / "adapter_model.safetensors").write_bytes(b"x" * 100)

    done = cli("adapter", "sign", "--all", "--json")
    assert done.code == 3
    assert done.json["key"] == key_name(NEW.encode())
    assert sorted(done.json["signed"]) == ["velmora@bare", "velmora@old"]
    assert sorted(done.json["refused"]) == ["velmora@changed", "velmora@damaged", "velmora@foreign"]
    assert json.loads((folders["old"] / SIGNATURE_FILE).read_text())["key"] == key_name(NEW.encode())

    # By name a foreign signature is replaced; what changed under our own key never is.
    assert cli("adapter", "sign", "velmora@foreign").code == 0
    assert state(folders["foreign"]) == "signed"
    assert cli("adapter", "sign", "velmora@changed").code == 3
    assert state(folders["changed"]) == "changed"


def test_a_promoted_adapter_is_signed_with_its_approval(home: Path) -> None:
    terms = Terms(keys=(NEW.encode(),))
    brand = load_config(Path("configs"), {}).brands["velmora"]
    sign_adapter(folder := make_adapter(Home(home), "velmora"), terms.keys)
    promote(Home(home), brand, "1", terms=terms, override=Override("the owner", "a test"))
    assert len(json.loads((folder / "manifest.json").read_text())["approvals"]) == 1
    assert state(folder) == "signed"


def test_what_ships_is_signed_when_it_is_installed(home: Path) -> None:
    brand = load_config(Path("configs"), {}).brands["velmora"]
    version = install_shipped(Home(home), brand, terms=Terms(keys=(NEW.encode(),)))
    assert version is not None
    assert state(home / "adapters/velmora" / version) == "signed"
    assert brand.shipped_adapter is not None
    assert not (brand.shipped_adapter / SIGNATURE_FILE).exists()
