"""Errors of ours and of the machine, as an operator reads them."""

from __future__ import annotations

import errno
import inspect
from types import ModuleType

import pytest

import channels.errors
import configs.errors
import retrieval.errors
import service.errors
from service.cli.failures import REFUSED, Failure, explain, split_advice


def classes(module: ModuleType) -> list[type[Exception]]:
    return [one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, Exception)]


@pytest.mark.parametrize("module", [configs.errors, retrieval.errors, service.errors, channels.errors])
def test_every_error_of_ours_is_explained(module: ModuleType) -> None:
    found = classes(module)
    assert found
    for kind in found:
        error = kind.__new__(kind)
        Exception.__init__(error, "The cause is this. Try that.")
        failure = explain(error)
        assert failure is not None, kind
        assert (failure.why, failure.cure) == ("The cause is this", "Try that")
        assert failure.code in (1, 2, 3)


def test_a_refused_adapter_ends_with_three() -> None:
    failure = explain(configs.errors.AdapterInvalid("changed after it was packaged; train it again"))
    assert failure is not None
    assert failure.code == REFUSED


@pytest.mark.parametrize(
    ("number", "word"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "may not"), (errno.EIO, "machine")]
)
def test_an_error_of_the_machine_is_explained(number: int, word: str) -> None:
    failure = explain(OSError(number, "reason", "/some/file"))
    assert failure is not None
    assert word in failure.what
    assert "/some/file" in failure.why


def test_what_nobody_foresaw_is_not_hidden() -> None:
    assert explain(ZeroDivisionError()) is None


def test_a_failure_stays_as_it_is() -> None:
    failure = Failure("a", "b", "c", code=2)
    assert explain(failure) is failure


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("there is no x.yaml; write it", ("there is no x.yaml", "write it")),
        ("Port 80 is in use. Stop it, or choose another.", ("Port 80 is in use", "Stop it, or choose another")),
        ("Damaged. Build it again: `brandvoice kb add`.", ("Damaged", "Build it again: `brandvoice kb add`")),
        ("See `brandvoice adapter list`", ("See `brandvoice adapter list`", "")),
    ],
)
def test_the_advice_is_the_last_clause_of_a_message(message: str, expected: tuple[str, str]) -> None:
    assert split_advice(message) == expected
