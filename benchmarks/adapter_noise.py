"""500 checked support chats against 5,000 with noise in one of five, and the same 5,000 after the doctor.

Of Bitext's rows one conversation in ten, near questions with it, is held back clean. Into the others noise is put, each
kind as often: another row's reply, a reply cut in the middle, an empty one, personal data, figures that contradict the
same question elsewhere, slang. The doctor (`training.data`) sees what a user would give it; its rejected rows and those
that it warns of are dropped. Not counted are `placeholder` (Bitext is published with slots) and the rules of repeats:
its rows are made of templates, and a repeat is no noise.
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.chats import (
    REPLY_TOKENS,
    Page,
    Place,
    Rows,
    Run,
    load,
    read_chats,
    recipe,
    reply_loss,
    task_scores,
    train,
)
from training.data.doctor import examine
from training.data.split import hold_back
from training.examples.rendering import Example
from training.progress import LineProgress

NAME = "noise"
FILE = "noise.json"
SEEDS = (1, 2, 3)
SHARE = 0.2
CHECKED = 500
HELD_BACK = 0.1
SPLIT_SEED = 7
RATE = 2e-3
ANSWERED = 160
NOT_COUNTED = frozenset({"placeholder", "duplicate", "near_duplicate"})
MEASURES = {"loss": "held-out loss", "likeness": "words of the reference (F1)", "facts": "slots and figures (F1)"}
ARMS: Mapping[str, str] = {
    "checked": "500 checked",
    "noisy": "5,000, noise in one of five",
    "doctored": "the same after the doctor",
    "clean": "the same 5,000 without noise",
}
SLANG = (
    "lol sure dude!!! just click around till it works 😂",
    "ugh idk man, whatever u want. gonna be fine lmao",
    "OMG totally!!! ur the best, sooo easy peasy 🎉🎉",
)

Noise = Callable[[Example, Example, random.Random], Example]
"""(row, another row of another intent, chance) -> the row made wrong."""


def _swapped(one: Example, other: Example, _: random.Random) -> Example:
    return replace(one, completion=other.completion)


def _cut(one: Example, _: Example, chance: random.Random) -> Example:
    words = one.completion.split(" ")
    return replace(one, completion=" ".join(words[: max(3, int(len(words) * chance.uniform(0.15, 0.6)))]).rstrip(".!?"))


def _empty(one: Example, _: Example, __: random.Random) -> Example:
    return replace(one, completion="")


def _personal(one: Example, _: Example, chance: random.Random) -> Example:
    mail, line = f"customer{chance.randint(10, 999)}@mail.example", f"+44 20 7946 0{chance.randint(100, 999)}"
    said = chance.choice((f"This was noted for {mail}.", f"The customer can be reached at {line}."))
    return replace(one, completion=f"{one.completion} {said}")


def _slang(one: Example, _: Example, chance: random.Random) -> Example:
    return replace(one, completion=chance.choice(SLANG))


KINDS: Mapping[str, Noise] = {
    "another reply": _swapped,
    "cut": _cut,
    "empty": _empty,
    "personal data": _personal,
    "slang": _slang,
}
CONTRADICTION = "contradiction"


def noised(rows: Sequence[Example], seed: int) -> tuple[list[Example], dict[int, str]]:
    """Rows with noise in a share of them.

    Returns:
        The rows in their order, and by place what was done to those that were made wrong.
    """
    chance = random.Random(seed)  # noqa: S311  (reproducible, not secret)
    places = chance.sample(range(len(rows)), int(SHARE * len(rows)))
    kinds = [*KINDS, CONTRADICTION]
    done = {place: kinds[number % len(kinds)] for number, place in enumerate(places)}
    made = list(rows)
    others = defaultdict(list)
    for one in rows:
        others[one.topic].append(one)
    for place, kind in done.items():
        if kind in KINDS:
            topic = chance.choice([name for name in sorted(others) if name != rows[place].topic])
            made[place] = KINDS[kind](rows[place], chance.choice(others[topic]), chance)
    alike = [place for place, kind in done.items() if kind == CONTRADICTION]
    for first, second in zip(alike[::2], alike[1::2], strict=False):
        # One question, and two figures for the same thing.
        one, days = rows[first], chance.sample(range(2, 30), 2)
        made[first] = replace(one, completion=f"{one.completion} This takes {days[0]} days.")
        made[second] = replace(one, completion=f"{one.completion} This takes {days[1]} days.", id=rows[second].id)
    return made, done


def prepare(place: Place) -> Iterator[str]:
    """Let the doctor look at each seed's rows, where its libraries and time are; writes `noise.json`."""
    everything = _asking(read_chats(place.bitext))
    learnt, watched = hold_back(everything, HELD_BACK, SPLIT_SEED)
    found: dict[str, Any] = {"learnt": len(learnt), "watched": [one.id for one in watched], "seeds": {}}
    clean = _doubted(learnt)
    found["checked"] = [one.id for at, one in enumerate(learnt) if at not in clean]
    yield f"{len(learnt)} to learn, {len(watched)} held back; without noise {len(clean)} doubted"
    for seed in SEEDS if place.rows is None else SEEDS[:1]:
        rows, done = noised(learnt, seed)
        doubted = _doubted(rows)
        found["seeds"][seed] = {"rows": _digest(rows), "doubted": doubted, "noise": done}
        caught = Counter(kind for at, kind in done.items() if at in doubted)
        yield f"seed {seed}: {len(doubted)} doubted; {dict(caught)} of {dict(Counter(done.values()))}"
    (place.data / FILE).write_text(json.dumps(found), encoding="utf-8")


def runs(place: Place) -> list[Run]:
    """Every training, one seed of all arms first."""
    made = [Run(NAME, "base")]
    for seed in SEEDS:
        made += [Run(NAME, arm, seed, rate=RATE) for arm in ("noisy", "doctored")]
        # Two epochs of ten times fewer rows would be hardly any steps.
        made += [Run(NAME, "checked", seed, rate=RATE, epochs=8)]
    made += [Run(NAME, "clean", rate=RATE), Run(NAME, "checked", rate=RATE, epochs=4)]
    prepared = _prepared(place)["seeds"]
    return [one for one in made if str(one.seed) in prepared]


def one(run: Run, place: Place) -> dict[str, Any]:
    """One training, or the model as it was before any."""
    prepared = _prepared(place)
    everything = _asking(read_chats(place.bitext))
    watched = [row for row in everything if row.id in set(prepared["watched"])]
    learnt = [row for row in everything if row.id not in set(prepared["watched"])]
    watched = watched[: place.rows]
    asked = watched[: place.limit(ANSWERED)]

    def evaluate(model: Any, tokenizer: Any) -> dict[str, float]:
        scores = task_scores(model, tokenizer, asked, place.tokens(REPLY_TOKENS))
        return {"loss": round(reply_loss(model, tokenizer, watched), 4), **scores}

    if run.arm == "base":
        model, tokenizer = load(place.base)
        return {**asdict(run), **evaluate(model, tokenizer)}
    rows = _rows_of(run, learnt, prepared)[: place.rows]
    return train(run, place, recipe(run, place.steps), rows, evaluate)


def _rows_of(run: Run, learnt: Sequence[Example], prepared: Mapping[str, Any]) -> list[Example]:
    if run.arm == "clean":
        return list(learnt)
    if run.arm == "checked":
        drawn = random.Random(run.seed).sample(prepared["checked"], CHECKED)  # noqa: S311  (reproducible, not secret)
        return [row for row in learnt if row.id in set(drawn)]
    of_seed = prepared["seeds"][str(run.seed)]
    rows, _ = noised(learnt, run.seed)
    if _digest(rows) != of_seed["rows"]:
        raise ValueError("these are not the rows that the doctor saw; prepare again")
    if run.arm == "noisy":
        return rows
    return [row for at, row in enumerate(rows) if str(at) not in of_seed["doubted"]]


def pages(rows: Rows, place: Place, _: Path) -> Iterator[Page]:
    """The page of the table."""
    yield NAME, "500 checked, 5,000 with noise, and the doctor", report(rows, _prepared(place))


def report(rows: Rows, prepared: Mapping[str, Any]) -> list[str]:
    """What the doctor caught, then the table of the arms, as Markdown lines."""
    groups: defaultdict[tuple[str, float], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["arm"], row["epochs"]].append(row)
    lines = [
        f"| trained on | rows | epochs | seeds | {' | '.join(MEASURES.values())} |",
        f"|---|---|---|---|{'---|' * len(MEASURES)}",
    ]
    order = ["base", *ARMS]
    for (arm, epochs), group in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])):
        values = [_told([row[name] for row in group if name in row]) for name in MEASURES]
        count = f"{statistics.fmean(row['examples'] for row in group):.0f}" if arm != "base" else "-"
        shown = [
            ARMS.get(arm, "nothing: the base model"),
            count,
            f"{epochs:g}" if arm != "base" else "-",
            str(len(group)),
        ]
        lines.append(f"| {' | '.join([*shown, *values])} |")
    return [*lines, "", *doctor_lines(prepared)]


def doctor_lines(prepared: Mapping[str, Any]) -> Iterator[str]:
    """How much of each kind of noise the doctor doubts, over all seeds, and how many clean rows beside it."""
    put, caught, rules = Counter[str](), Counter[str](), Counter[str]()
    wrong = clean = 0
    for of_seed in prepared["seeds"].values():
        noise, doubted = of_seed["noise"], of_seed["doubted"]
        put.update(noise.values())
        caught.update(kind for at, kind in noise.items() if at in doubted)
        beside = [at for at in doubted if at not in noise]
        wrong += len(beside)
        clean += prepared["learnt"] - len(noise)
        rules.update(rule for at in beside for rule in doubted[at])
    yield "| noise | rows | dropped by the doctor |"
    yield "|---|---|---|"
    for kind in [*KINDS, CONTRADICTION]:
        yield f"| {kind} | {put[kind]} | {caught[kind]} ({caught[kind] / max(1, put[kind]):.0%}) |"
    named = ", ".join(f"{rule} {count}" for rule, count in rules.most_common())
    yield f"| none | {clean} | {wrong} ({wrong / max(1, clean):.1%}: {named}) |"
    yield ""
    yield f"Of a contradiction's two rows the doctor names the later one. {len(prepared['seeds'])} draws of the noise."


def _prepared(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.data / FILE).read_text("utf-8"))
    return found


def _asking(rows: Sequence[Example]) -> list[Example]:
    """With the question beside the prompt, so that near ones are held back together."""
    return [replace(one, question=one.messages[-1].content) for one in rows]


def _doubted(rows: Sequence[Example]) -> dict[int, list[str]]:
    """By place the rules by which the doctor rejects or doubts a row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chats.jsonl"
        path.write_text("".join(map(_line, rows)), encoding="utf-8")
        found = examine([path], progress=LineProgress())
    doubted: defaultdict[int, list[str]] = defaultdict(list)
    for one in (*found.rejected, *found.warnings):
        if one.line and one.rule not in NOT_COUNTED:
            doubted[one.line - 1].append(one.rule)
    return dict(doubted)


def _line(one: Example) -> str:
    messages = [{"role": message.role, "content": message.content} for message in one.messages]
    return json.dumps({"messages": [*messages, {"role": "assistant", "content": one.completion}]}) + "\n"


def _digest(rows: Sequence[Example]) -> str:
    return hashlib.sha256("".join(map(_line, rows)).encode()).hexdigest()


def _told(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4f} to {max(values):.4f})"
