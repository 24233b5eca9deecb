"""What a deployment asks of an adapter before an engine gets it, and the operator's signature."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from configs.adapter_signature import SIGNATURE_FILE, check_signature, key_name, sign_adapter, signing_keys
from configs.adapter_terms import Terms, verified
from configs.errors import AdapterInvalid, ConfigError
from configs.home import Home
from configs.service import ServiceConfig
from tests.unit.made_adapters import (
    BASE_SHA256,
    INPUTS,
    LAYER,
    OUTPUTS,
    Tensors,
    lora_tensors,
    make_adapter,
    write_safetensors,
)

OLD, NEW = b"o" * 32, b"n" * 32
BASE_LAYERS = {f"{LAYER}.weight": (OUTPUTS, INPUTS), "model.norm.weight": (INPUTS,)}
ALL = Terms(base_sha256=BASE_SHA256, layers=BASE_LAYERS, max_rank=16, keys=(NEW, OLD))
UNSIGNED = Terms(base_sha256=BASE_SHA256, layers=BASE_LAYERS, max_rank=16)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_an_adapter_within_the_terms_is_taken(home: Home) -> None:
    folder = make_adapter(home)
    sign_adapter(folder, (NEW,))
    assert verified(folder, brand="demo", terms=ALL).version == "1"


def test_the_rank_may_be_the_engines_limit_and_not_more(home: Home) -> None:
    verified(make_adapter(home, version="16", rank=16), brand="demo", terms=UNSIGNED)
    folder = make_adapter(home, version="17", rank=17)
    with pytest.raises(AdapterInvalid, match=r"rank 17, but the engine takes 16.*engine\.max_lora_rank"):
        verified(folder, brand="demo", terms=UNSIGNED)


def with_bits(dtype: str, bits: bytes) -> Tensors:
    """Good weights but for one value, the last one."""
    tensors = lora_tensors()
    name = f"base_model.model.{LAYER}.lora_B.weight"
    shape = tensors[name][1]
    count = shape[0] * shape[1]
    return tensors | {name: (dtype, shape, bytes(len(bits)) * (count - 1) + bits)}


@pytest.mark.parametrize(
    ("dtype", "bits", "finite"),
    [
        pytest.param("F32", struct.pack("<f", float("nan")), False, id="nan"),
        pytest.param("F32", struct.pack("<f", float("-inf")), False, id="infinite"),
        pytest.param("F16", struct.pack("<e", float("inf")), False, id="infinite in float16"),
        pytest.param("F16", struct.pack("<e", 65504.0), True, id="the largest float16"),
        pytest.param("BF16", b"\xc0\x7f", False, id="nan in bfloat16"),
        pytest.param("BF16", b"\x80\xff", False, id="infinite in bfloat16"),
        pytest.param("BF16", b"\x7f\x7f", True, id="the largest bfloat16"),
    ],
)
def test_every_weight_is_a_finite_number(home: Home, dtype: str, bits: bytes, finite: bool) -> None:
    folder = make_adapter(home, tensors=with_bits(dtype, bits))
    if finite:
        verified(folder, brand="demo", terms=UNSIGNED)
        return
    with pytest.raises(AdapterInvalid, match=r"lora_B\.weight' holds values that are no numbers"):
        verified(folder, brand="demo", terms=UNSIGNED)


def test_a_value_beyond_the_first_piece_is_looked_at_too(tmp_path: Path) -> None:
    from configs.safetensors_file import CHUNK_BYTES, SafetensorsInvalid, tensors_sha256

    good = bytes(CHUNK_BYTES) + struct.pack("<f", 1.0)
    write_safetensors(tmp_path / "good", {"a": ("F32", (len(good) // 4,), good)})
    tensors_sha256([tmp_path / "good"], finite=True)
    bad = bytes(CHUNK_BYTES) + struct.pack("<f", float("nan"))
    write_safetensors(tmp_path / "bad", {"a": ("F32", (len(bad) // 4,), bad)})
    tensors_sha256([tmp_path / "bad"])
    with pytest.raises(SafetensorsInvalid, match="no numbers"):
        tensors_sha256([tmp_path / "bad"], finite=True)


HALF_A = f"base_model.model.{LAYER}.lora_A.weight"
HALF_B = f"base_model.model.{LAYER}.lora_B.weight"
ONE_HALF = {HALF_A: lora_tensors()[HALF_A]}
OTHER_RANKS = {HALF_A: lora_tensors(4)[HALF_A], HALF_B: lora_tensors(3)[HALF_B]}
WHOLE_NUMBERS = {name: ("I32", shape, raw) for name, (_, shape, raw) in lora_tensors().items()}
SCALE = {f"base_model.model.{LAYER}.lora_magnitude_vector": ("F32", (1,), bytes(4))}


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        pytest.param({}, "holds no weights", id="empty"),
        pytest.param(ONE_HALF, "halves of .* do not belong together", id="one half"),
        pytest.param(OTHER_RANKS, "halves of .* do not belong together", id="halves of two adapters"),
        pytest.param(lora_tensors(2), "layers of rank 2, manifest.json says 4", id="another rank than it says"),
        pytest.param(WHOLE_NUMBERS, "I32; it must be BF16", id="whole numbers"),
        pytest.param(lora_tensors() | SCALE, "no part of a LoRA adapter", id="DoRA"),
        pytest.param(
            lora_tensors(layer="model.layers.0.mlp.up_proj"),
            r"changes model\.layers\.0\.mlp\.up_proj where manifest.json says q_proj",
            id="targets",
        ),
        pytest.param(
            lora_tensors(layer="model.layers.7.self_attn.q_proj"), "changes 'model.layers.7.* lacks", id="too deep"
        ),
    ],
)
def test_weights_that_are_no_adapter_of_this_base_are_refused(home: Home, tensors: Tensors, reason: str) -> None:
    folder = make_adapter(home, tensors=tensors)
    with pytest.raises(AdapterInvalid, match=reason):
        verified(folder, brand="demo", terms=UNSIGNED)


def test_a_layer_of_another_shape_is_refused(home: Home) -> None:
    folder = make_adapter(home)
    wider = Terms(layers={f"{LAYER}.weight": (OUTPUTS, 2 * INPUTS)})
    with pytest.raises(AdapterInvalid, match="10 x 6; the base model's is 10 x 12"):
        verified(folder, brand="demo", terms=wider)
    # A base in 4 bits packs its numbers, and the layer is known by its name.
    verified(folder, brand="demo", terms=Terms(layers={f"{LAYER}.qweight": ()}))


@pytest.mark.parametrize(
    "config", [{"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"layer_replication": [[0, 2]]}]
)
def test_what_the_engine_cannot_serve_is_named(home: Home, config: Mapping[str, object]) -> None:
    folder = make_adapter(home, config=config)
    with pytest.raises(AdapterInvalid, match=f"made with {next(iter(config))}="):
        verified(folder, brand="demo", terms=UNSIGNED)


@pytest.mark.parametrize("name", ["adapter_model.bin", "extra.pt", "OPTIMIZER.PT", "checkpoint/rng.pth"])
def test_a_pickle_anywhere_in_the_folder_is_refused(home: Home, name: str) -> None:
    folder = make_adapter(home)
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterInvalid, match=f"holds {path.name}: pickled weights"):
        verified(folder, brand="demo", terms=UNSIGNED)


def test_another_base_and_another_place_are_refused(home: Home) -> None:
    folder = make_adapter(home)
    with pytest.raises(AdapterInvalid, match="base model that serves is another"):
        verified(folder, brand="demo", terms=Terms(base_sha256="0" * 64))
    with pytest.raises(AdapterInvalid, match="lies where other@1 belongs"):
        verified(folder, brand="other", terms=UNSIGNED)


def test_the_terms_name_the_base_that_lies_in_the_state_folder(home: Home) -> None:
    service = ServiceConfig()
    assert Terms.of(service, home, {}) == Terms(None, {}, 16, ())
    folder = home.models / service.models.base
    folder.mkdir(parents=True)
    said = {"name": service.models.base, "source": "test", "sha256": BASE_SHA256, "dtype": "float32"}
    (folder / "base.json").write_text(json.dumps(said))
    write_safetensors(
        folder / "model.safetensors",
        {f"{LAYER}.weight": ("F32", (2, 3), bytes(24)), "packed.weight": ("U8", (6, 1), bytes(6))},
    )
    found = Terms.of(service, home, {})
    assert found.base_sha256 == BASE_SHA256
    assert found.layers == {f"{LAYER}.weight": (2, 3), "packed.weight": ()}


# --- the operator's signature -----------------------------------------------------------------------------------------


def test_without_keys_no_signature_is_asked_for(home: Home) -> None:
    verified(make_adapter(home), brand="demo", terms=UNSIGNED)


def test_with_keys_an_unsigned_adapter_is_refused_and_the_cure_named(home: Home) -> None:
    with pytest.raises(AdapterInvalid, match=r"is not signed.*brandvoice adapter sign demo@1"):
        verified(make_adapter(home), brand="demo", terms=ALL)


def test_both_keys_of_a_rotation_are_good_and_a_third_is_not(home: Home) -> None:
    folder = make_adapter(home)
    sign_adapter(folder, (OLD,))
    check_signature(folder, (NEW, OLD))
    with pytest.raises(AdapterInvalid, match="signed with another key"):
        check_signature(folder, (NEW,))
    assert sign_adapter(folder, (NEW, OLD)).key == key_name(NEW)
    check_signature(folder, (NEW,))


def manifest_changed(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parent": "x"}))


def scale_changed(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_rslora": True}))


def proof_taken_away(folder: Path) -> None:
    (folder / "proof.json").unlink()


def digest_forged(folder: Path) -> None:
    """Other weights, with every digest made to fit: what digests alone cannot show."""
    home = Home(folder.parents[2])
    other = make_adapter(home, version="other", tensors=lora_tensors(value=0.7))
    manifest = json.loads((other / "manifest.json").read_text()) | {"version": folder.name}
    for name in ("adapter_model.safetensors", "proof.json"):
        shutil.copy(other / name, folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("change", [manifest_changed, scale_changed, proof_taken_away, digest_forged])
def test_what_changed_after_it_was_signed_is_refused(home: Home, change: Callable[[Path], None]) -> None:
    folder = make_adapter(home)
    sign_adapter(folder, (NEW,))
    change(folder)
    verified(folder, brand="demo", terms=UNSIGNED)
    with pytest.raises(AdapterInvalid, match="changed after it was signed"):
        verified(folder, brand="demo", terms=ALL)


def test_a_signature_holds_whatever_the_formatting(home: Home) -> None:
    folder = make_adapter(home)
    sign_adapter(folder, (NEW,))
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    verified(folder, brand="demo", terms=ALL)


def test_a_signature_of_another_adapter_does_not_fit(home: Home) -> None:
    one, two = make_adapter(home, version="1"), make_adapter(home, version="2")
    sign_adapter(one, (NEW,))
    shutil.copy(one / SIGNATURE_FILE, two / SIGNATURE_FILE)
    with pytest.raises(AdapterInvalid, match="changed after it was signed"):
        check_signature(two, (NEW,))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "key": "0", "hmac_sha256": "0"}'])
def test_a_signature_that_is_none_is_refused(home: Home, text: str) -> None:
    folder = make_adapter(home)
    (folder / SIGNATURE_FILE).write_text(text)
    with pytest.raises(AdapterInvalid, match="train or copy it again"):
        check_signature(folder, (NEW,))


def test_a_key_does_not_stand_in_the_signature(home: Home) -> None:
    folder = make_adapter(home)
    sign_adapter(folder, (NEW,))
    assert NEW.decode() not in (folder / SIGNATURE_FILE).read_text()


def configured(tmp_path: Path, text: str) -> ServiceConfig:
    (tmp_path / "keys").write_text(text)
    return ServiceConfig.model_validate({"adapters": {"signing_keys": {"file": str(tmp_path / "keys")}}})


def test_keys_come_from_a_secret_the_first_one_signs(tmp_path: Path) -> None:
    assert signing_keys(ServiceConfig(), {}) == ()
    assert signing_keys(configured(tmp_path, f"{NEW.decode()}, {OLD.decode()}\n"), {}) == (NEW, OLD)


@pytest.mark.parametrize("text", ["short", ",", f"{NEW.decode()},short"])
def test_a_short_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="32 characters or more"):
        signing_keys(configured(tmp_path, text), {})
