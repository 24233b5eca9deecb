"""What rooms below the console refuse, and why a text scores as it does, in the reader's language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.load import load_config
from service.console.reworded import reworded
from service.console.words import words
from service.corrections import reviewing
from tests.unit.service.console.seats import Role, seat
from tests.unit.service.doors import Door
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
