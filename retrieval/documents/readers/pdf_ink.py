"""Which letters of a PDF page leave ink: pypdf extracts them all, so those that do not are emptied before it does.

Seen here: text mode 3 and 7 (neither filled nor stroked), white on nothing that was painted, type below one point,
letters outside the page. Not seen: opacity, and letters that a picture or a shape covers later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

SMALLEST_TYPE = 1.0
"""Points."""
WHITE = 0.98
_PAINTS = frozenset({b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"})
_ENDS = _PAINTS | {b"S", b"s", b"n"}
_SHOWS = frozenset({b"Tj", b"TJ", b"'", b'"'})
_FILLS = {b"g": 1, b"rg": 3, b"k": 4}


@dataclass(frozen=True, slots=True)
class _State:
    white: bool = False
    mode: int = 0
    size: float = 12.0


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def holds(self, x: float, y: float) -> bool:
        return self.left - 1 <= x <= self.right + 1 and self.bottom - 1 <= y <= self.top + 1


class Ink:
    """Follows the operators of one page as pypdf meets them.

    Args:
        page: Left, bottom, right and top of the page, in points.
        sees_all: Whether to let every letter pass.
    """

    def __init__(self, page: tuple[float, float, float, float], *, sees_all: bool = False) -> None:
        self._page = _Box(*page)
        self._all = sees_all
        self._state = _State()
        self._stack: list[_State] = []
        self._path: list[tuple[float, float]] = []
        self._painted: list[_Box] = []
        self.seen = 0
        """Characters that leave ink."""
        self.unseen = 0
        self.pictures = 0

    def before(self, operator: bytes, operands: Any, cm: Sequence[float], tm: Sequence[float]) -> None:
        """Called before pypdf works on an operator; empties the operands of letters that leave no ink."""
        if self._all:
            return
        if operator in _SHOWS:
            self._show(operator, operands, cm, tm)
        elif operator in {b"q", b"Do"}:
            self._stack.append(self._state)
            if operator == b"Do":
                # A picture, or a form that paints: what stands on it may well be white.
                self.pictures += 1
                self._painted.append(_box([_moved(cm, x, y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]))
        elif operator == b"Q":
            self._restore()
        else:
            self._set(operator, operands, cm)

    def after(self, operator: bytes, _operands: Any, _cm: Sequence[float], _tm: Sequence[float]) -> None:
        """Called after an operator: what a form set ends with it."""
        if operator == b"Do" and not self._all:
            self._restore()

    def _restore(self) -> None:
        if self._stack:
            self._state = self._stack.pop()

    def _set(self, operator: bytes, operands: Any, cm: Sequence[float]) -> None:
        if operator in _FILLS or operator in {b"sc", b"scn", b"cs"}:
            self._state = replace(self._state, white=_is_white(_numbers(operands), operator))
        elif operator == b"Tr" and operands:
            self._state = replace(self._state, mode=int(_numbers(operands)[0]) if _numbers(operands) else 0)
        elif operator == b"Tf" and len(operands) > 1:
            self._state = replace(self._state, size=abs((_numbers(operands) or [12.0])[-1]))
        elif operator == b"sh":
            self._painted.append(self._page)
        elif operator in {b"re", b"m", b"l", b"c", b"v", b"y"}:
            self._path.extend(_points(operator, _numbers(operands), cm))
        elif operator in _ENDS:
            if operator in _PAINTS and self._path and not self._state.white:
                self._painted.append(_box(self._path))
            self._path = []

    def _show(self, operator: bytes, operands: Any, cm: Sequence[float], tm: Sequence[float]) -> None:
        count = sum(len(text) for text in _strings(operands))
        if self._leaves_ink(cm, tm):
            self.seen += count
            return
        self.unseen += count
        _empty(operator, operands)

    def _leaves_ink(self, cm: Sequence[float], tm: Sequence[float]) -> bool:
        x, y = _moved(cm, tm[4], tm[5])
        height = self._state.size * (tm[2] ** 2 + tm[3] ** 2) ** 0.5 * (cm[2] ** 2 + cm[3] ** 2) ** 0.5
        if self._state.mode in {3, 7} or height < SMALLEST_TYPE:
            return False
        if not self._page.holds(x, y):
            return False
        return not self._state.white or any(box.holds(x, y) for box in self._painted)


def _empty(operator: bytes, operands: Any) -> None:
    from pypdf.generic import ArrayObject, TextStringObject

    if operands:
        operands[-1] = ArrayObject() if operator == b"TJ" else TextStringObject("")


def _strings(operands: Any) -> list[Any]:
    found = []
    for one in operands:
        found += [part for part in one if isinstance(part, str | bytes)] if isinstance(one, list) else []
        found += [one] if isinstance(one, str | bytes) else []
    return found


def _numbers(operands: Any) -> list[float]:
    return [float(one) for one in operands if isinstance(one, int | float)]


def _is_white(colours: list[float], operator: bytes) -> bool:
    if operator == b"k" or (operator in {b"sc", b"scn"} and len(colours) == 4):
        return len(colours) == 4 and max(colours) <= 1 - WHITE
    # Without numbers it is a pattern, or a change of the colour space, which begins black.
    return bool(colours) and min(colours) >= WHITE


def _points(operator: bytes, numbers: list[float], cm: Sequence[float]) -> list[tuple[float, float]]:
    if operator == b"re" and len(numbers) == 4:
        x, y, width, height = numbers
        numbers = [x, y, x + width, y, x, y + height, x + width, y + height]
    pairs = zip(numbers[::2], numbers[1::2], strict=False)
    return [_moved(cm, x, y) for x, y in pairs]


def _moved(matrix: Sequence[float], x: float, y: float) -> tuple[float, float]:
    return x * matrix[0] + y * matrix[2] + matrix[4], x * matrix[1] + y * matrix[3] + matrix[5]


def _box(points: list[tuple[float, float]]) -> _Box:
    across, up = [x for x, _ in points], [y for _, y in points]
    return _Box(min(across), min(up), max(across), max(up))
