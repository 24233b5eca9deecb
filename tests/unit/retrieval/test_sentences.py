"""Sentences out of a stream of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.language.sentences import SentenceStream, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        pytest.param("It costs $6.50. Take it!", ["It costs $6.50.", "Take it!"], id="price"),
        pytest.param("Open 9 a.m. to 5 p.m. We wait.", ["Open 9 a.m. to 5 p.m.", "We wait."], id="hours"),
        pytest.param("We ship abroad, e.g. to Canada. Bye.", ["We ship abroad, e.g. to Canada.", "Bye."], id="e.g."),
        pytest.param(
            "Go to St. James Court. No. 5 is nice.", ["Go to St. James Court.", "No. 5 is nice."], id="short forms"
        ),
        pytest.param("No. We do not.", ["No.", "We do not."], id="no as an answer"),
        pytest.param("1. Sign in.\n2. Go!", ["1. Sign in.", "2. Go!"], id="numbered list"),
        pytest.param("- one\n- two", ["- one", "- two"], id="lines"),
        pytest.param("Good news!! 🎮 You've won.", ["Good news!! 🎮", "You've won."], id="emoji stays"),
        pytest.param("Mail care@velmora.example. Bye.", ["Mail care@velmora.example.", "Bye."], id="address"),
        pytest.param('"Really?" she said. Yes.', ['"Really?" she said.', "Yes."], id="quote"),
        pytest.param("  \n ", [], id="blank"),
    ],
)
def test_text_is_cut_where_a_reader_would_cut_it(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ab .!?\n$5e.g🎮\"'", max_size=60), st.integers(1, 5))
def test_pieces_of_any_size_give_the_same_sentences(text: str, size: int) -> None:
    stream = SentenceStream()
    found = [one for at in range(0, len(text), size) for one in stream.feed(text[at : at + size])] + stream.flush()
    assert found == split_sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_sentence_comes_out_with_the_first_token_of_the_next() -> None:
    stream = SentenceStream()
    assert stream.feed("The label is free.") == []
    assert stream.feed(" You") == ["The label is free."]
    assert stream.flush() == ["You"]
