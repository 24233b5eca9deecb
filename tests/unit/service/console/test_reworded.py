"""What rooms below the console refuse, and why a text scores as it does, in the reader's language."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from configs.brand import Gate, GateFloors
from configs.load import load_config
from service.console.reworded import reworded
from service.console.training_words import MARKS, MEASURES, RULES
from service.console.words import words
from service.corrections import reviewing
from service.trainings.planning import recipes
from tests.unit.service.console.seats import Role, seat
from tests.unit.service.doors import Door
from training.data import balance
from training.data.doctor import Options, examine
from training.data.rows import Rule
from training.data.score import score
from training.judging import gate
from training.voice.brand import texts_of
from training.voice.model import learn

ROOMS = (Path(reviewing.__file__).parent, Path(reviewing.__file__).parents[1] / "trainings")
PASSED_ON = {"str(error)", "reason"}
"""Texts of others, looked at elsewhere in this file."""
INDONESIAN = words("id").gettext


def refusals() -> Iterator[str]:
    """Every sentence that a room raises, with something in place of its values."""
    for path in (path for room in ROOMS for path in sorted(room.glob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
                continue
            said = node.exc.args[0]
            if isinstance(said, ast.Constant):
                yield str(said.value)
            elif isinstance(said, ast.JoinedStr):
                parts = (str(one.value) if isinstance(one, ast.Constant) else "Xyz" for one in said.values)
                yield "".join(parts)
            else:
                assert ast.unparse(said) in PASSED_ON, f"{path.name}: {ast.unparse(said)}"


def test_every_refusal_of_corrections_and_trainings_is_told_in_indonesian() -> None:
    found = set(refusals())
    assert len(found) > 25
    # Two whose value is a part of the sentence.
    found -= {
        "This machine trains alreadyXyz: wait for it, or stop it.",
        "Xyz has nothing to learn from yet; it needs Xyz.",
    }
    found |= {
        "This machine trains already (Xyz): wait for it, or stop it.",
        "This machine trains already: wait for it, or stop it.",
    }
    assert {one for one in found if reworded(one, INDONESIAN) == one} == set()


@pytest.mark.parametrize("state", ["proposed", "rejected", "withdrawn"])
def test_a_value_that_is_a_word_of_ours_is_translated_too(state: str) -> None:
    said = f"It is {state}; only an accepted correction can be taken back."
    told = reworded(said, INDONESIAN)
    assert "Statusnya" in told
    assert state not in told.split()


def test_values_stand_where_they_stood_whatever_is_in_them() -> None:
    said = "'<b>%(x)s%d' was changed meanwhile; look at it again, and edit it anew."
    told = reworded(said, INDONESIAN)
    assert told.startswith("'<b>%(x)s%d' telah berubah")
    assert reworded(said, str) == said
    # Somebody may be called what a button says.
    assert INDONESIAN("Close") != "Close"
    assert reworded("Close has corrected this answer already; look at it in the review.", INDONESIAN)[:6] == "Close "
    assert reworded("Nobody named this.", INDONESIAN) == "Nobody named this."


def test_every_reason_of_a_voice_score_is_told_in_indonesian() -> None:
    brands = load_config(Path("configs"), {}).brands
    long = "I'd say hello to all of you. " * 40
    texts = [
        *("", "?!", "\x01\x02\x03\x04", "Halo", "Selamat pagi semua orang yang datang ke toko kami hari ini", long * 5),
        *(
            "Hey! You'll love it!!! 🎉🎉🎉🎉",
            "- one\n- two\n- three\n- four\n- five\n- six",
            "- one thing only is here for you",
        ),
        "As an AI language model, I cannot do that. Feel free to reach out. I hope this helps!",
        *(one.content for brand in brands.values() for one in texts_of(brand)[:60]),
    ]
    found = set()
    for brand in brands.values():
        model = learn(texts_of(brand), guide=brand.voice_guide.read_text("utf-8") + "\nAvoid: 'gorgeous'.")
        found |= {reason for text in texts for reason in model.score(text).reasons}
    assert len(found) > 30
    assert {one for one in found if reworded(one, INDONESIAN) == one} == set()


def test_a_title_that_is_refused_is_shown_as_text(door: Door) -> None:
    editor = seat(door, {"velmora": Role.EDITOR}, "dewi@example.com")
    editor.send("/v1/me", "PATCH", json={"language": "id"})
    for title in ("<img src=x onerror=alert(1)>", "%d %(x)s"):
        fields = {"brand": "velmora", "title": title, "text": "Good day."}
        assert editor.send("/console/inbox/canned", data=fields).status_code == 303
        again = editor.send("/console/inbox/canned", data=fields)
        assert again.status_code == 400
        assert "Merek ini sudah punya balasan siap pakai" in again.text
        assert "<img src=x" not in again.text


def english(sentences: set[str]) -> set[str]:
    """Those that nobody has translated."""
    return {one for one in sentences if reworded(one, INDONESIAN) == one}


def test_what_the_gate_says_is_told_in_indonesian() -> None:
    same = {str(case): 1.0 for case in range(160)}
    measured: list[tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]] = [
        (dict.fromkeys(gate.KINDS, same), dict.fromkeys(gate.KINDS, same)),
        (dict.fromkeys(gate.KINDS, dict.fromkeys(same, 0.1)), dict.fromkeys(gate.KINDS, same)),
        (dict.fromkeys(gate.KINDS, same), dict.fromkeys(gate.KINDS, dict.fromkeys(same, 0.1))),
        (dict.fromkeys(gate.KINDS, same), dict.fromkeys(gate.KINDS, dict.fromkeys(same, 0.0))),
        ({"voice": {"1": 1.0}}, {"voice": {"1": 1.0}}),
        ({"voice": dict(list(same.items())[:3])}, {"voice": dict(list(same.items())[:3])}),
        ({}, {}),
    ]
    said = set(MEASURES.values())
    for settings in (Gate(), Gate(floors=GateFloors(voice=0.5, leak=0.01))):
        for candidate, current in measured:
            found = gate.judge(candidate, current, settings, current_name="base + voice guide")
            said |= {*found.reasons, *(one.reason for one in found.measures)}
            # As the overview shows it, of a training that nobody has started.
            said |= {found.verdict, f"{found.verdict}: {'; '.join(found.reasons)}"}
    assert len(said) > 60
    assert english(said) == set()
    assert set(MEASURES.values()) == {kind.words for kind in gate.KINDS.values()}
    assert list(MEASURES) == list(gate.KINDS)
    one = "voice score: 0.900 now, 0.500 with the candidate, at worst 0.450 lower, beyond the margin of 0.050"
    told = reworded(f"{one}; 0.500 is below the floor of 0.600", INDONESIAN)
    assert told == (
        "nilai suara: sekarang 0.900, dengan calon 0.500, paling buruk 0.450 lebih rendah, melampaui batas 0.050; "
        "0.500 di bawah nilai terendah 0.600"
    )
    left = {word for one in said for word in reworded(one, INDONESIAN).replace(",", "").split()}
    assert left & {"now", "with", "candidate", "where", "needs", "floor", "worse", "better", "case", "cases"} == set()


def test_what_the_data_doctor_says_is_told_in_indonesian(tmp_path: Path) -> None:
    def row(question: str, reply: str, **more: object) -> dict[str, object]:
        return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}], **more}

    plain = [
        row(f"What does article {n} of the list cost?", f"Article {n} costs {n} euros. It is ready.") for n in range(70)
    ]
    odd: list[object] = [
        row("How long may I return it?", "You have 30 days."),
        row("how long may I return it", "You have 45 days."),
        row("How long may I return it?", "You have 30 days."),
        row("Lakisha here, how long may I return it please?", "No, we cannot help you with that one."),
        row("Where is my order now?", "Write to anna.berg@mail.example or call +49 170 1234567, please."),
        row("Who are you really?", "As an AI language model, lol, bro, I CAN NOT SAY THAT!!! gonna... - one"),
        row("What is [NAME]?", "It is [INSERT NAME], and then we will ship it to"),
        row("Are you there?", "You are an idiot."),
        row("And people?", "All women are stupid."),
        row("Bonjour ?", "Je ne sais pas quand la boutique ouvre demain matin, mais nous sommes fermés le dimanche."),
        row("", "Something."),
        row("Hello?", "x" * 30_000),
        {"messages": []}, {"messages": 3}, {"messages": [3]}, {"messages": [{"role": "judge", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]}, {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [1]}]},
        {"what": 1}, {"instruction": 3, "output": "x"}, {"instruction": "x"}, {"instruction": "x", "output": ""},
        {"instruction": "x", "output": "y", "history": 3}, {"instruction": "x", "output": "y", "history": [3]},
        {"prompt": "x", "chosen": "y", "rejected": "y"}, {"prompt": "x", "chosen": "y", "rejected": ""},
        {"input": 3, "preferred_output": []}, 3,
    ]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(one) for one in [*plain, *odd]]
    file.write_text("\n".join([*lines, "{no json", lines[0]]) + "\n", "utf-8")
    found = examine([file], Options(evaluation=("What does article 3 cost, please?",)))
    said = {one.reason for one in (*found.rejected, *found.warnings)}
    assert len({one.rule for one in (*found.rejected, *found.warnings)}) >= 17
    worth = score(found)
    said |= {worth.verdict, *(one.split("  ", 1)[1] for one in worth.reasons)}
    assert english(said) == set()
    assert set(RULES) == set(get_args(Rule))
    assert set(MARKS) == set(balance._MARKS)
    assert english({*RULES.values(), *MARKS}) == set()


def test_what_the_recipes_that_ship_say_of_themselves_is_told_in_indonesian() -> None:
    shipped = {one.about for one in recipes(Path("configs"))}
    assert len(shipped) > 5
    assert english(shipped) == set()
