import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.adapter_manifest import base_mismatch, read_adapter
from configs.base_manifest import BaseInvalid, base_folder, read_base
from configs.errors import AdapterInvalid
from configs.safetensors_file import SafetensorsInvalid, read_header, tensors_sha256
from training.recipes import sft


@pytest.fixture
def folder(trained: sft.Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.folder, tmp_path / "copy"))


def flip_last_byte(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def other_rank(folder: Path) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"r": 64}))


def unknown_key(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"surprise": 1}))


def pickled(folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(flip_last_byte, "changed after it was packaged", id="a changed weight"),
        pytest.param(cut, "cut short", id="a cut file"),
        pytest.param(other_rank, "describe different adapters", id="another rank"),
        pytest.param(unknown_key, "surprise: Extra inputs", id="an unknown key"),
        pytest.param(pickled, "never loaded", id="a pickle"),
        pytest.param(lambda folder: (folder / "manifest.json").unlink(), "lacks manifest.json", id="no manifest"),
        pytest.param(shutil.rmtree, "no adapter folder", id="no folder"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused_with_the_reason(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    read_adapter(folder)
    damage(folder)
    with pytest.raises(AdapterInvalid, match=reason):
        read_adapter(folder)


def test_a_manifest_has_the_agreed_keys_and_names_no_path(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    keys = "schema brand version base lora weights_sha256 template_sha256 data_sha256 recipe_sha256 knowledge_version"
    assert " ".join(manifest) == f"{keys} metrics created_at parent approvals provenance"
    assert list(manifest["base"]) == ["name", "source", "sha256", "dtype"]
    assert list(manifest["lora"]) == ["r", "alpha", "target_modules"]
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"


def test_weights_are_bfloat16(folder: Path) -> None:
    assert {tensor.dtype for tensor in read_header(folder / "adapter_model.safetensors")} == {"BF16"}


def test_an_adapter_for_another_base_says_retrain(folder: Path, base: Path) -> None:
    manifest, here = read_adapter(folder), read_base(base)
    assert base_mismatch(manifest, here) is None
    reason = base_mismatch(manifest, here.model_copy(update={"sha256": "0" * 64, "name": "other"}))
    assert reason is not None
    assert "retrain" in reason


def test_the_digest_of_tensors_is_over_values_and_not_over_the_file(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    one, two = torch.arange(6.0), torch.ones(2, 2, dtype=torch.bfloat16)
    save_file({"a": one, "b": two}, tmp_path / "both", metadata={"note": "x"})
    save_file({"b": two}, tmp_path / "second")
    save_file({"a": one}, tmp_path / "first")
    assert tensors_sha256([tmp_path / "both"]) == tensors_sha256([tmp_path / "second", tmp_path / "first"])
    save_file({"a": one + 1, "b": two}, tmp_path / "other")
    assert tensors_sha256([tmp_path / "other"]) != tensors_sha256([tmp_path / "both"])
    with pytest.raises(SafetensorsInvalid, match="two files"):
        tensors_sha256([tmp_path / "both", tmp_path / "first"])


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04pickle", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a":3 } ']
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SafetensorsInvalid):
        read_header(tmp_path / "x")


def test_a_base_that_changed_on_disk_is_found_out(base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base, tmp_path / "base"))
    read_base(copy, verify=True)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    read_base(copy)
    with pytest.raises(BaseInvalid, match="changed after they were prepared"):
        read_base(copy, verify=True)


def test_base_folders_of_hub_names_and_paths_stay_below_models(tmp_path: Path) -> None:
    assert base_folder(tmp_path, "Qwen/Qwen2.5-0.5B-Instruct") == tmp_path / "Qwen--Qwen2.5-0.5B-Instruct"
    assert base_folder(tmp_path, "../../etc").parent == tmp_path
