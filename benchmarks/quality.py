"""How well the two sample brands answer, and whether their voices can be told apart.

    python -m benchmarks.quality [--first N] [--answers-only] [--out benchmarks/results/FILE.md]

Opens the gateway's own parts with a real engine (about ten minutes on two cores for the first 40 questions of a brand).
Answers: the held-out questions of both brands through the whole pipeline; those that belong to a person are counted
apart. Voice: questions about shared policies, the same passages for both brands, raw
replies with words of passages, brands and products masked; a classifier trained on the brands' own masked replies
tells whose they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from tokenizers import Tokenizer

from configs.base_manifest import base_folder
from configs.home import Home
from configs.load import Config, load_config
from configs.verdict import BASE_VERSION
from retrieval.passages import Passage
from retrieval.prompt import Message, build_prompt
from service.bootstrap import Gateway, open_gateway
from service.conversation.events import Reply
from service.ports import Sampling
from service.turns.pipeline import Turn
from training.voice import Accuracy, VoiceClassifier, mask

CONDITIONS = ("base, no guide", "base, voice guide", "adapter")
AT_ONCE = 8


@dataclass(frozen=True)
class Question:
    """A held-out question."""

    text: str
    document: str | None
    contains: tuple[str, ...]
    shared: bool
    handoff: bool = False
    """Whether it belongs to a person."""


def questions_of(path: Path) -> list[Question]:
    """Read a brand's held-out questions."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [
        Question(
            row["question"],
            row["document"],
            tuple(row["answer_contains"]),
            row["shared_policy"],
            row.get("handoff", False),
        )
        for row in rows
    ]


# --- answers --------------------------------------------------------------------------------------------------------


async def answers(gateway: Gateway, brand: str, questions: Sequence[Question], progress: Progress) -> list[Reply]:
    """Ask everything through the pipeline."""
    slots = asyncio.Semaphore(AT_ONCE)
    bar = progress.add_task(f"answers of {brand}", total=len(questions))

    async def ask(question: Question) -> Reply:
        async with slots:
            reply = await gateway.pipeline.reply(Turn(gateway.config.brands[brand], question.text))
        progress.advance(bar)
        return reply

    return list(await asyncio.gather(*(ask(question) for question in questions)))


def answer_figures(
    gateway: Gateway, brand: str, questions: Sequence[Question], replies: Sequence[Reply]
) -> dict[str, str]:
    """The row of one brand."""
    answerable = [(q, r) for q, r in zip(questions, replies, strict=True) if q.document]
    others = [r for q, r in zip(questions, replies, strict=True) if not q.document and not q.handoff]
    handoffs = [r for q, r in zip(questions, replies, strict=True) if q.handoff]
    found = [gateway.knowledge[brand].search(q.text, top_k=5).passages for q, _ in answerable]
    hits = sum(any(p.document == q.document for p in ps) for (q, _), ps in zip(answerable, found, strict=True))
    answered = [(q, r) for q, r in answerable if r.outcome == "answered"]
    right_page = sum(any(c.document == q.document for c in r.citations) for q, r in answered)
    right_fact = sum(all(part.lower() in r.text.lower() for part in q.contains) for q, r in answered)
    not_answered = sum(r.outcome != "answered" for r in others)
    return {
        "retrieval hit@5": _share(hits, len(answerable)),
        "answered": _share(len(answered), len(answerable)),
        "correct page cited": _share(right_page, len(answerable)),
        "right fact": _share(right_fact, len(answerable)),
        "unanswerable not answered": _share(not_answered, len(others)),
        "answerable wrongly refused": _share(len(answerable) - len(answered), len(answerable)),
        "handed to a person": _share(sum(r.outcome == "handed_off" for r in handoffs), len(handoffs)),
    }


# --- voice ----------------------------------------------------------------------------------------------------------


async def voices(gateway: Gateway, questions: Mapping[str, Sequence[Question]], progress: Progress) -> dict[str, Any]:
    """Raw replies of both brands to the same shared-policy questions on the same passages, by condition."""
    config = gateway.config
    asked = [(home, q) for home, known in questions.items() for q in known if q.shared and q.document]
    slots = asyncio.Semaphore(AT_ONCE)
    counts = _token_counter(gateway)
    found: dict[str, Any] = {
        name: {"replies": {b: [] for b in config.brands}, "prompt": [], "guide": []} for name in CONDITIONS
    }

    async def one(condition: str, brand: str, home: str, question: Question) -> tuple[str, str, str, int, int]:
        passages = gateway.knowledge[home].search(question.text).passages
        version = None if condition == "adapter" else BASE_VERSION
        voice = await gateway.voices.voice(brand, version)
        guide = config.brands[brand].voice_guide.read_text("utf-8") if condition == "base, voice guide" else None
        prompt = build_prompt(
            "answer", question.text, display_name=config.brands[brand].display_name, passages=passages, guide=guide
        )
        async with slots:
            sampling = Sampling(max_tokens=80)
            stream = gateway.pipeline._generator.stream(prompt.messages, model=voice.model, sampling=sampling)
            text = "".join([piece.text async for piece in stream])
        progress.advance(bar)
        masked = mask(text, brand_terms=_names(config), passages=[*_texts(passages), question.text])
        return condition, brand, masked, counts(prompt.messages), counts(prompt.messages[:1])

    jobs = [one(c, b, home, q) for c in CONDITIONS for b in config.brands for home, q in asked]
    bar = progress.add_task("voices", total=len(jobs))
    for condition, brand, masked, whole, instruction in await asyncio.gather(*jobs):
        found[condition]["replies"][brand].append(masked)
        found[condition]["prompt"].append(whole)
        found[condition]["guide"].append(instruction)
    return found


def classifier(config: Config, gateway: Gateway) -> VoiceClassifier:
    """Trained on the brands' own replies, masked in the same way."""
    masked: dict[str, list[str]] = {}
    for name, brand in config.brands.items():
        if brand.conversations is None:
            continue
        masked[name] = []
        for line in brand.conversations.read_text("utf-8").splitlines():
            messages = json.loads(line)["messages"]
            for asked, said in zip(messages[::2], messages[1::2], strict=True):
                if said["outcome"] != "answered":
                    continue
                passages = gateway.knowledge[name].search(asked["content"]).passages
                texts = [*_texts(passages), asked["content"]]
                masked[name].append(mask(said["content"], brand_terms=_names(config), passages=texts))
    return VoiceClassifier(masked)


def _texts(passages: Sequence[Passage]) -> list[str]:
    return [f"{passage.title} {passage.heading} {passage.text}" for passage in passages]


def _names(config: Config) -> list[str]:
    return [word for name, brand in config.brands.items() for word in (name, brand.display_name)]


def _token_counter(gateway: Gateway) -> Any:
    folder = base_folder(gateway.home.models, gateway.config.service.models.base)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def count(messages: Sequence[Message]) -> int:
        return sum(len(tokenizer.encode(message.content).ids) for message in messages)

    return count


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({part / whole:.0%})" if whole else "-"


def _mean(values: Sequence[int]) -> str:
    return f"{sum(values) / len(values):.0f}"


# --- the run --------------------------------------------------------------------------------------------------------


async def run(*, answers_only: bool, first: int | None) -> str:
    """Measure and render."""
    config = load_config(Path("configs"), {})
    home = Home.from_environment(os.environ)
    questions = {
        name: questions_of(brand.questions)[:first] for name, brand in config.brands.items() if brand.questions
    }
    asked = [f"{'first ' if first else ''}{len(known)} questions of {name}" for name, known in questions.items()]
    progress = Progress(console=Console(stderr=True))
    async with open_gateway(config, home) as gateway:
        await gateway.engine.ready()
        progress.start()
        rows: dict[str, dict[str, str]] = {}
        told: list[str] = []
        for brand, known in questions.items():
            replies = await answers(gateway, brand, known, progress)
            rows[brand] = answer_figures(gateway, brand, known, replies)
            told += [f"- **{brand}** {q.text}\n  - {r.outcome}: {r.text}" for q, r in zip(known, replies, strict=True)]
        if answers_only:
            progress.stop()
            return _render(rows, {}, {}, told, asked)
        spoken = await voices(gateway, questions, progress)
        judge = classifier(config, gateway)
        accuracies = {name: judge.accuracy(spoken[name]["replies"]) for name in CONDITIONS}
        progress.stop()
    return _render(rows, spoken, accuracies, told, asked)


def _render(
    rows: Mapping[str, Mapping[str, str]],
    spoken: Mapping[str, Any],
    accuracies: Mapping[str, Accuracy],
    told: Sequence[str],
    asked: Sequence[str],
) -> str:
    figures = list(next(iter(rows.values())))
    lines = [
        f"# Answers and voice, {date.today().isoformat()}",
        "",
        f"`python -m benchmarks.quality` on {os.cpu_count()} cores ({platform.machine()}), SmolLM2-135M-Instruct with "
        f"the shipped adapters, temperature 0; {' and '.join(asked)}.",
        "",
        "## Answers to the held-out questions",
        "",
        "| brand | " + " | ".join(figures) + " |",
        "|---" * (len(figures) + 1) + "|",
        *("| " + " | ".join([brand, *row.values()]) + " |" for brand, row in rows.items()),
    ]
    if spoken:
        lines += [
            "",
            "## Voice on shared policies, same passages, subject masked",
            "",
            "| who speaks | told apart | 95 % interval | instruction tokens | whole prompt, tokens |",
            "|---|---|---|---|---|",
        ]
    for name in accuracies:
        low, high = accuracies[name].interval
        lines.append(
            f"| {name} | {accuracies[name].right}/{accuracies[name].total} ({accuracies[name].share:.0%}) "
            f"| {low:.0%} to {high:.0%} | {_mean(spoken[name]['guide'])} | {_mean(spoken[name]['prompt'])} |"
        )
    return "\n".join([*lines, "", "## Every answer", "", *told, ""])


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--answers-only", action="store_true", help="leave out the voices: four minutes, not ten")
    parser.add_argument("--first", type=int, help="questions of each brand, in the order of the file; all where absent")
    arguments = parser.parse_args()
    text = asyncio.run(run(answers_only=arguments.answers_only, first=arguments.first))
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
