"""Overlap with references: the known figures, and its ends."""

from __future__ import annotations

import pytest

from training.judging.overlap import overlap, rouge_l

SAID = "An unopened item can be returned within 30 days of delivery."


def test_the_same_reply_has_all_in_common_and_another_nothing() -> None:
    same = overlap(SAID, ["Something else.", SAID])
    assert (same.rouge_l, same.bleu, same.chrf) == pytest.approx((1, 1, 1))
    none = overlap("zzz", [SAID])
    assert (none.rouge_l, none.bleu, none.chrf) == (0, 0, 0)
    assert overlap("", [SAID]).value == 0


def test_chrf_is_the_gates_value_and_knows_a_word_in_another_form() -> None:
    found = overlap("Unopened items: returnable within thirty days.", [SAID])
    assert found.value == found.chrf
    assert found.chrf > found.rouge_l > found.bleu


def test_rouge_l_is_the_share_of_the_longest_common_subsequence() -> None:
    # police ... the gunman: Lin's example, S2 and S3 of section 3.1.
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert rouge_l("a b c d e", "a c e") == pytest.approx(2 * 3 / 8)


def test_a_reply_without_a_reference_is_no_case() -> None:
    with pytest.raises(ValueError, match="without a reference"):
        overlap(SAID, [])
