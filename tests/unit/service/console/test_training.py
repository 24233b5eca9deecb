"""Trainings at a real gateway: pages and API over a stand-in command, and a version that speaks and goes back."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from configs.adapter_manifest import read_adapter
from configs.home import Home
from configs.load import load_config
from configs.verdict import RecordedVerdict, conditions
from service.console.person import Role
from service.engines.adapters import active_version
from service.storage.database import now
from service.trainings import planning
from tests.patience import PATIENCE_S
from tests.unit.service.console.seats import Browser, seat
from tests.unit.service.doors import KEY, Door

BRAND = "velmora"
ROOT = Path(__file__).resolve().parents[4]
TRAINS = """
import json, pathlib, shutil, sys
home = pathlib.Path(sys.argv[1])
run = home / "runs" / "velmora-20261126-110000"
run.mkdir(parents=True, exist_ok=True)
(run / "losses.jsonl").write_text("".join(json.dumps({"step": at, "loss": 3 / at}) + "\\n" for at in range(1, 9)))
shutil.copytree(home / "adapters/velmora/v0", home / "adapters/velmora/v1", dirs_exist_ok=True)
manifest = home / "adapters/velmora/v1/manifest.json"
manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "v1"}))
print(json.dumps({"version": "v1", "run": str(run)}))
"""


@pytest.fixture
def trains(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is a stand-in that copies what speaks; the rest of a job is real."""
    folder = home.adapters / BRAND / "v0"
    shutil.copytree(ROOT / "samples/velmora/adapter", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": "v0"}))
    (home.adapters / BRAND / "active").write_text("v0")
    monkeypatch.setattr(planning, "train_command", lambda *_, **__: [sys.executable, "-c", TRAINS, str(home.root)])


def judged(home: Home, verdict: str) -> None:
    """The gate's word on v1 against v0."""
    brand = load_config(ROOT / "configs", {}).brands[BRAND]
    candidate = read_adapter(home.adapters / BRAND / "v1", verify=False)
    row = {"measure": "voice", "verdict": verdict, "current": 0.6, "candidate": 0.7, "less_is_better": False}
    row |= {"worst": -0.026, "margin": 0.05}
    found = RecordedVerdict(
        brand=BRAND,
        conditions=conditions(home, brand, candidate, "v0", None),
        knowledge_version=None,
        verdict=verdict,  # type: ignore[arg-type]
        cases=150,
        reasons=("voice is better",) if verdict == "passed" else ("voice is worse",),
        measures=(row,),
        at=now(),
    )
    folder = home.evaluations / BRAND / "v1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(found.to_json())


def done(one: Browser, job: str) -> dict[str, Any]:
    """A job once it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := one.get(f"/v1/training/jobs/{job}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(found)


@pytest.mark.usefixtures("trains")
def test_a_version_is_trained_judged_let_speak_and_taken_back(door: Door, home: Home) -> None:
    boss = seat(door, {BRAND: Role.ADMIN}, "anna@example.com")
    page = boss.get("/console/training").text
    assert "v0" in page
    assert "quick_cpu" in page
    plan = boss.get(f"/console/training/brands/{BRAND}/plan?recipe=quick_cpu&corrections=true&gate=false").text
    assert "conversations.jsonl" in plan
    given = {"recipe": "quick_cpu", "corrections": "true", "gate": "false", "general": "false"}
    sent = boss.send(f"/console/training/brands/{BRAND}/jobs", data=given)
    assert sent.status_code == 303, sent.text
    job = sent.headers["location"].rpartition("/")[2]
    ended = done(boss, job)
    assert (ended["state"], ended["version"], ended["started_by"]) == ("done", "v1", "Anna")
    assert len(boss.get(f"/v1/training/jobs/{job}/curve").json()["losses"]) == 8
    page = boss.get(f"/console/training/jobs/{job}").text
    assert '<svg class="chart"' in page
    # A page that shows the training still, or that it waits for the gate, is told to load the whole anew.
    for shown in ("running-train", "trained-train", "running-gate"):
        told = boss.get(f"/console/training/jobs/{job}/part?shown={shown}", headers={"hx-request": "true"})
        assert told.headers["hx-redirect"].endswith(f"/jobs/{job}")
    # The gate has not been asked: it may not speak, unless somebody answers for it.
    refused = boss.send(f"/console/training/jobs/{job}/promote", data={})
    assert refused.status_code == 409
    assert 'name="reason"' in refused.text
    judged(home, "passed")
    assert boss.send(f"/console/training/jobs/{job}/promote", data={}).status_code == 303
    assert active_version(home, BRAND) == "v1"
    assert boss.send(f"/console/training/brands/{BRAND}/rollback").status_code == 303
    assert active_version(home, BRAND) == "v0"
    notes = boss.get(f"/console/training/brands/{BRAND}/versions/v1").text
    assert "voice is better" in notes
    assert re.findall(r'<td class="number">([-+.0-9]+)</td>', notes) == ["0.600", "0.700", "-0.026", "0.050"]
    assert "gate" in notes
    told = boss.get(f"/v1/training/brands/{BRAND}/versions/v1/notes").json()
    assert (told["verdict"], told["started_by"], told["approvals"][0]["by"]) == ("passed", "Anna", "gate")
    text = boss.get(f"/v1/training/brands/{BRAND}/versions/v1/notes?form=markdown").text
    assert text.startswith("# velmora@v1")
    changes = boss.get("/v1/audit").json()["changes"]
    actions = [one["action"] for one in changes if one["action"].startswith(("training", "adapter"))]
    assert actions == ["adapter.rolled_back", "adapter.promoted", "training.started"]


@pytest.mark.usefixtures("trains")
def test_against_the_gate_a_version_speaks_only_with_a_name_and_a_reason(door: Door, home: Home) -> None:
    boss = seat(door, {BRAND: Role.ADMIN}, "anna@example.com")
    job = boss.send(f"/v1/training/brands/{BRAND}/jobs", json={"recipe": "quick_cpu", "gate": False}).json()["id"]
    done(boss, job)
    judged(home, "refused")
    page = boss.get(f"/console/training/jobs/{job}").text
    assert "voice is worse" in page
    answer = boss.send(f"/v1/training/jobs/{job}/promote", json={})
    assert answer.status_code == 409
    assert "voice is worse" in answer.json()["error"]["message"]
    assert boss.send(f"/v1/training/jobs/{job}/promote", json={"reason": "prices changed"}).status_code == 200
    approval = read_adapter(home.adapters / BRAND / "v1", verify=False).approvals[-1]
    assert approval.by == "Anna"
    assert approval.note.startswith("prices changed")
    assert boss.send(f"/v1/training/jobs/{job}/discard", json={}).status_code == 409, "it speaks"


@pytest.mark.usefixtures("trains")
def test_the_api_takes_a_key_and_wants_a_name(locked: Door) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    path = f"/v1/training/brands/{BRAND}"
    client = locked.client
    given: dict[str, Any] = {"recipe": "quick_cpu", "gate": False}
    recipes = client.get(f"{path}/recipes", headers=headers).json()["recipes"]
    assert "quick_cpu" in {one["name"] for one in recipes}
    plan = client.post(f"{path}/plan", headers=headers, json=given).json()
    assert (plan["files"], plan["free"]) == (["conversations.jsonl"], True)
    assert client.post(f"{path}/plan", headers=headers, json={"recipe": "none"}).status_code == 400
    assert client.post(f"{path}/jobs", headers=headers, json=given).status_code == 400
    begun = client.post(f"{path}/jobs", headers=headers, json=given | {"by": "ci"})
    assert begun.status_code == 201
    assert begun.json()["started_by"] == "ci"
    jobs = client.get("/v1/training/jobs", headers=headers).json()["jobs"]
    assert [one["id"] for one in jobs] == [begun.json()["id"]]


def test_the_plan_shows_the_exact_command_and_says_what_does_not_fit(door: Door) -> None:
    editor = seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")
    path = f"/console/training/brands/{BRAND}/plan"
    page = editor.get(f"{path}?recipe=quick_cpu").text
    assert "python -m training.train --brand velmora --recipe quick_cpu" in page
    wrong = editor.get(f"{path}?recipe=quick_cpu&changes=lora.rank%3D3")
    assert wrong.status_code == 400
    assert "lora.rank" in wrong.text
    assert "accept corrections first" in editor.get(f"{path}?recipe=dpo").text
