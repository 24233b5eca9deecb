"""The command line as a person or a script meets it: data, exit codes, errors of three lines."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[3]


def three_lines(text: str) -> bool:
    lines = text.strip().splitlines()[-3:]
    return [line.split(":")[0] for line in lines] == ["error", "  why", "  try"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        pytest.param(("kb", "list", "--brand", "velmroa"), 2, "did you mean 'velmora'?", id="brand"),
        pytest.param(("adapter", "show", "velmora"), 2, "BRAND@VERSION", id="name"),
        pytest.param(("adapter", "promote", "velmora@7"), 2, "none yet", id="version"),
        pytest.param(("adapter", "rollback", "--brand", "velmora"), 2, "no earlier", id="rollback"),
        pytest.param(("ask", "Hi", "--brand", "velmora", "--url", "http://127.0.0.1:9"), 1, "demo", id="gateway"),
        pytest.param(("channel", "simulate", "slak", "Hi", "--brand", "velmora"), 2, "'slack'", id="channel"),
    ],
)
def test_an_error_says_what_why_and_what_to_try(cli: Cli, words: tuple[str, ...], code: int, hint: str) -> None:
    done = cli(*words)
    assert done.code == code
    assert three_lines(done.err), done.err
    assert hint in done.err
    assert done.out == ""


@pytest.mark.parametrize("words", [("kb", "list"), ("nothing",), ("serve", "--port", "high"), ("ask",)])
def test_wrong_use_ends_with_two(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words).code == 2


def test_a_typo_in_the_configuration_is_refused_by_every_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDVOICE_SERVICE__PROT", "1")
    done = cli("config", "check")
    assert done.code == 1
    assert "did you mean 'BRANDVOICE_SERVICE__PORT'?" in done.err


def test_config_show_names_the_origin_of_each_value(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDVOICE_SERVICE__PORT", "8123")
    values = cli("config", "show", "--json").json["values"]
    assert values["service.port"] == {"value": 8123, "origin": "BRANDVOICE_SERVICE__PORT"}
    assert values["engine.max_loras"] == {"value": 4, "origin": "default"}
    assert values["brands.velmora.display_name"]["origin"].startswith("configs/brands/velmora.yaml:")


def test_config_show_prints_no_password(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDVOICE_DATABASE__URL", "postgresql+asyncpg://me:hunter2@db/brandvoice")
    done = cli("config", "show")
    assert "hunter2" not in done.out
    assert "postgresql+asyncpg://me:***@db/brandvoice" in done.out


def test_config_check_says_which_app_stays_off(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    done = cli("config", "check")
    assert done.code == 0
    assert "apps.slack.main stays off" in done.err


def test_the_list_of_adapters_has_its_stable_shape_when_there_is_none(cli: Cli) -> None:
    assert cli("adapter", "list", "--json").json == {"adapters": []}


def test_documents_are_listed_from_the_state_folder(cli: Cli, home: Path) -> None:
    from retrieval.knowledge import store
    from retrieval.testing import HashEncoder

    assert cli("kb", "list", "--brand", "velmora", "--json").json == {"documents": []}
    store.add(home / "knowledge", "velmora", ROOT / "samples/velmora/pages/returns.md", HashEncoder())
    documents = cli("kb", "list", "--brand", "velmora", "--json").json["documents"]
    assert [(one["document"], one["title"]) for one in documents] == [("returns.md", "Returns")]


def test_doctor_fails_on_an_empty_state_folder_and_says_what_prepares_it(cli: Cli) -> None:
    done = cli("doctor", "--json")
    assert done.code == 1
    checks = {one["name"]: one for one in done.json["checks"]}
    assert checks["encoder"]["status"] == "fail"
    assert "brandvoice demo" in checks["encoder"]["cure"]
    assert checks["configuration"]["status"] == "ok"
    assert three_lines(done.err)


def test_doctor_goes_on_when_a_part_is_damaged(cli: Cli, home: Path) -> None:
    (home / "adapters/velmora/1").mkdir(parents=True)
    (home / "adapters/velmora/active").write_text("1")
    checks = {one["name"]: one for one in cli("doctor", "--json").json["checks"]}
    assert checks["adapter velmora"]["status"] == "fail"
    assert "lacks" in checks["adapter velmora"]["detail"]
    assert "gateway" in checks


def test_promoting_a_damaged_adapter_is_refused_with_three(cli: Cli, home: Path) -> None:
    (home / "adapters/velmora/1").mkdir(parents=True)
    done = cli("adapter", "promote", "velmora@1")
    assert done.code == 3
    assert three_lines(done.err)
    assert not (home / "adapters/velmora/active").exists()


def test_help_is_there_at_once_without_web_or_model_libraries(tmp_path: Path) -> None:
    heavy = ("torch", "transformers", "vllm", "numpy", "fastapi", "aiohttp", "sqlalchemy", "onnxruntime")
    code = (
        "import sys\nfrom service.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(' '.join(name for name in {heavy!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "handoffs" in done.stdout
    assert done.stderr == ""


def test_the_program_runs_from_any_folder(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "brandvoice"
    if not program.exists():
        pytest.skip("not installed as a program; `make setup` does it")
    done = subprocess.run([program, "config", "check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shutil.which("brandvoice", path=str(program.parent))
