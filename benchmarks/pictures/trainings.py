"""A training of Velmora that is over: its losses, what the gate said of it, and answers that changed.

Losses and measures are those of `benchmarks/results/2026-11-26-loop.md`; the sample's adapter stands for both versions.
"""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from benchmarks.pictures.engine import SAMPLES, exchanges
from configs.adapter_manifest import read_adapter
from configs.home import Home
from configs.json_lines import rows_text
from configs.load import load_config
from configs.verdict import RecordedVerdict, conditions
from service.engines.promotion import evaluation_folder
from service.storage.database import now
from service.storage.tables import training_jobs

BRAND, BEFORE, AFTER = "velmora", "v2", "v3"
RUN = "velmora-20261126-110000"
STEPS = 28
MEASURES = (
    # measure, before, after, worst, margin, less is better
    ("voice", 0.930, 0.969, 0.026, 0.05, False),
    ("groundedness", 0.954, 0.973, 0.006, 0.05, False),
    ("facts", 0.360, 0.375, -0.015, 0.05, False),
    ("citation_precision", 0.762, 0.750, -0.048, 0.10, False),
    ("citation_recall", 0.471, 0.485, -0.007, 0.05, False),
    ("refusal", 0.800, 0.780, -0.060, 0.10, False),
    ("false_refusal", 0.368, 0.338, 0.0, 0.05, True),
    ("handoff", 0.355, 0.355, 0.0, 0.10, False),
    ("overlap", 0.322, 0.328, -0.006, 0.05, False),
    ("leak", 0.0, 0.0, 0.0, 0.02, True),
    ("general", 0.702, 0.696, -0.025, 0.05, False),
    ("general_loss", 3.333, 3.320, -0.003, 0.03, True),
    ("prompt_tokens", 203.0, 201.0, 0.003, 0.10, True),
)
PLAIN = (
    "You can do that within 30 days of delivery.",
    "The item must be unused and in its original packaging.",
    "Yes. You can choose it at checkout.",
    "Please look at the page of the item.",
)
"""What the version before said instead of an answer of the sample conversations."""


def plant(connection: Connection, home: Path) -> None:
    """Put it all there, beside a gateway that runs on this state folder."""
    state = Home(home)
    for version in (BEFORE, AFTER):
        folder = state.adapters / BRAND / version
        shutil.copytree(SAMPLES / BRAND / "adapter", folder)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8")) | {"version": version}
        if version == AFTER:
            manifest |= {"created_at": now().isoformat(), "data_sha256": "0" * 64}
            manifest["provenance"]["recipe"] |= {"name": "corrections"}
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    (state.adapters / BRAND / "active").write_text(BEFORE, "utf-8")
    run = state.runs / RUN
    run.mkdir(parents=True)
    losses = [{"step": at, "loss": 0.35 + 1.1 / at + 0.04 * (at % 3)} for at in range(1, STEPS + 1)]
    losses += [{"step": at, "held_back_loss": 0.6 + 0.9 / at} for at in (1, 7, 14, 21, 28)]
    (run / "losses.jsonl").write_text(rows_text(losses), "utf-8")
    _answers(state)
    _verdict(state)
    connection.execute(insert(training_jobs), _job())


def _job() -> dict[str, object]:
    began = now() - timedelta(minutes=41)
    return {
        "id": "t-4107", "brand": BRAND, "state": "done", "step": "gate", "host": "here", "version": AFTER, "run": RUN,
        "choice": {"recipe": "corrections", "corrections": True, "gate": True, "general": True, "baseline": False},
        "data": {"corrections": {"voice": [f"c{at}" for at in range(10)], "fact": [f"c{at}" for at in range(10, 20)]}},
        "started_by": "Citra", "started_at": began, "attempt_at": began, "ended_at": began + timedelta(minutes=25),
    }  # fmt: skip


def _verdict(home: Home) -> None:
    brand = load_config(SAMPLES.parent / "configs", {}).brands[BRAND]
    names = ("measure", "current", "candidate", "worst", "margin", "less_is_better")
    shares = ("general_loss", "prompt_tokens")
    rows = tuple(
        dict(zip(names, one, strict=True)) | {"verdict": "passed", "relative": one[0] in shares} for one in MEASURES
    )
    candidate = read_adapter(home.adapters / BRAND / AFTER, verify=False)
    found = RecordedVerdict(
        brand=BRAND,
        conditions=conditions(home, brand, candidate, BEFORE, None),
        knowledge_version=None,
        verdict="passed",
        cases=267,
        reasons=(f"no worse than {BRAND}@{BEFORE} on {len(rows)} measures, by 267 cases",),
        measures=rows,
        at=now() - timedelta(minutes=16),
    )
    evaluation_folder(home, BRAND, AFTER).joinpath("verdict.json").write_text(found.to_json(), "utf-8")


def _answers(home: Home) -> None:
    """What both versions answered to some of the questions."""
    chosen = exchanges(BRAND)[:: len(exchanges(BRAND)) // len(PLAIN)][: len(PLAIN)]
    said = {
        BEFORE: [(question, plain) for (question, _), plain in zip(chosen, PLAIN, strict=True)],
        AFTER: chosen,
    }
    for version, pairs in said.items():
        folder = evaluation_folder(home, BRAND, version)
        folder.mkdir(parents=True)
        rows = (
            {"id": str(at), "question": question, "answer": {"text": text, "outcome": "answered"}}
            for at, (question, text) in enumerate(pairs)
        )
        (folder / "answers.jsonl").write_text(rows_text(rows), "utf-8")
