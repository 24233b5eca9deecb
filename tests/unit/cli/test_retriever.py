"""`brandvoice train retriever`: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from retrieval.testing import HashEncoder
from service.cli import retriever
from service.cli.deployment import Deployment
from tests.unit.cli.conftest import Cli

FIGURE = {
    "set": "pages kept out",
    "measure": "ndcg@10",
    "questions": 62,
    "before": 0.5,
    "after": 0.625,
    "low": 0.01,
    "high": 0.2,
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The words that the training process was started with; `refused` as version makes it refuse."""
    seen: list[tuple[str, ...]] = []

    def run(module: str, *words: str, what: str) -> str:
        seen.append((module, *words))
        refused = "refused" in words
        result: dict[str, Any] = {
            "brand": "velmora",
            "trains": "cross_encoder" if "cross_encoder" in words else "retriever",
            "version": None if refused else "v1",
            "folder": None if refused else "encoders/velmora/v1",
            "accepted": not refused,
            "reasons": ["ndcg@10 falls"] if refused else [],
            "figures": [FIGURE],
            "pairs": 393,
            "loss_first": 2.5,
            "loss_last": 1.25,
            "run": "runs/velmora-retriever-1",
            "skipped": False,
        }
        return json.dumps(result)

    monkeypatch.setattr(Deployment, "encoder", lambda _self, _say: HashEncoder())
    monkeypatch.setattr(retriever, "run_module", run)
    return seen


def test_an_accepted_retriever_is_shown_with_what_to_do_next(cli: Cli, asked: list[tuple[str, ...]]) -> None:
    done = cli("train", "retriever", "--brand", "velmora", "--version", "v1", "--force")
    assert done.code == 0, done.err
    assert asked == [
        ("training.retriever", "--brand", "velmora", "--recipe", "retriever", "--version", "v1", "--force"),
    ]
    assert "pages kept out  62         ndcg@10  0.5000   0.6250  +0.1250     +0.0100 to +0.2000" in done.out
    assert "accepted: encoders/velmora/v1 (393 pairs, loss 2.500 to 1.250)" in done.out
    assert "set retrieval.encoder: v1 in velmora.yaml, run `brandvoice kb add --brand velmora`" in done.err


def test_a_cross_encoder_is_used_by_another_setting(cli: Cli, asked: list[tuple[str, ...]]) -> None:
    done = cli("train", "retriever", "--brand", "velmora", "--recipe", "cross_encoder")
    assert done.code == 0, done.err
    assert asked == [("training.retriever", "--brand", "velmora", "--recipe", "cross_encoder")]
    assert "set retrieval.reranker: v1 in velmora.yaml, then start the gateway again" in done.err
    assert "kb add" not in done.err


def test_a_refused_retriever_ends_with_three_and_the_reason(cli: Cli, asked: list[tuple[str, ...]]) -> None:
    done = cli("train", "retriever", "--brand", "velmora", "--version", "refused")
    assert done.code == 3
    assert "refused: runs/velmora-retriever-1" in done.out
    assert "ndcg@10 falls" in done.err
    done = cli("train", "retriever", "--brand", "velmora", "--version", "refused", "--json")
    assert (done.code, done.json["accepted"], done.json["figures"]) == (3, False, [FIGURE])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retriever", "--brand", "velmorra"), "did you mean 'velmora'"),
        (("retriever", "--brand", "velmora", "--ship"), "--questions, --pairs, --set and --ship are for adapters"),
        (("retriever", "--brand", "velmora", "--pairs", "a.jsonl"), "are for adapters"),
        (("retriver", "--brand", "velmora"), "retriver"),
    ],
)
def test_wrong_use_is_told_before_anything_is_trained(
    cli: Cli, asked: list[tuple[str, ...]], words: tuple[str, ...], said: str
) -> None:
    done = cli("train", *words)
    assert (done.code, asked) == (2, [])
    assert said in done.err
