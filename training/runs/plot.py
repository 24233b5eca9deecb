"""The curves of a training, as a picture and for a terminal, and a histogram as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 320, 48
BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot, by row and column."""


def draw_losses(path: Path, losses: Sequence[float], held_back: Mapping[int, float], *, title: str) -> None:
    """Write a PNG of the loss at each step, its running mean, and the loss on what is held back.

    Args:
        path: Of the picture.
        losses: At step 1, 2, ...; may be empty.
        held_back: By step, 0 before the first; empty where nothing was.
        title: Stands above the curves.

    Raises:
        OSError: It cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    scale = 2
    picture = Image.new("RGB", (scale * WIDTH, scale * HEIGHT), "#ffffff")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12 * scale)
    top = max([*losses, *held_back.values()], default=1.0) * 1.05 or 1.0

    def place(step: float, loss: float) -> tuple[float, float]:
        along = MARGIN + step / max(1, len(losses)) * (WIDTH - 2 * MARGIN)
        return scale * along, scale * _height(loss, top)

    def curve(points: Iterable[tuple[float, float]], colour: str, width: int) -> None:
        # A loss that is no number is left out: it ends a run, and has no place.
        pen.line([place(*one) for one in points if math.isfinite(one[1])], fill=colour, width=width)

    for share in range(5):
        value = top * share / 4
        curve(((0, value), (len(losses), value)), "#e5e7eb", 1)
        left, middle = place(0, value)
        pen.text((left - 8, middle), f"{value:.2f}", fill="#374151", font=font, anchor="rm")
    curve(enumerate(losses, start=1), "#b8c4d6", scale)
    curve(enumerate(_running_mean(losses, max(1, len(losses) // 20)), start=1), "#1d4ed8", 2 * scale)
    curve(sorted(held_back.items()), "#c2410c", 2 * scale)
    pen.text((scale * WIDTH / 2, 36), title, fill="#111827", font=font, anchor="mm")
    below = f"step (1 to {len(losses)}); blue: loss and its running mean" + ("; red: held back" if held_back else "")
    pen.text((scale * WIDTH / 2, scale * HEIGHT - 36), below, fill="#374151", font=font, anchor="mm")
    picture.save(path, "PNG")


def terminal_plot(losses: Sequence[float], held_back: Mapping[int, float], *, width: int = 60, height: int = 8) -> str:
    """The running mean of the loss in dots, and `o` for what is held back, in lines for a terminal.

    Args:
        losses: At step 1, 2, ...; may be empty.
        held_back: By step, 0 before the first.
        width: Columns of the curve.
        height: Its lines.

    Returns:
        Lines, each with its end; empty for fewer than two steps, which make no curve.
    """
    mean = _running_mean(losses, max(1, len(losses) // 20))
    seen = [one for one in [*mean, *held_back.values()] if math.isfinite(one)]
    if len(losses) < 2 or not seen:
        return ""
    low, high = min(seen), max(seen)
    # A sign of braille holds two dots beside each other in each of four rows.
    grid = [[0] * width for _ in range(height)]
    rows, columns = 4 * height - 1, 2 * width - 1

    def row(loss: float) -> int:
        return round((high - loss) / ((high - low) or 1) * rows)

    for column in range(columns + 1):
        loss = mean[round(column / columns * (len(mean) - 1))]
        if math.isfinite(loss):
            grid[row(loss) // 4][column // 2] |= BRAILLE[row(loss) % 4][column % 2]
    lines = [[chr(0x2800 + dots) for dots in line] for line in grid]
    for step, loss in held_back.items():
        if math.isfinite(loss):
            lines[row(loss) // 4][round(step / len(losses) * (width - 1))] = "o"
    labels = {0: f"{high:.3f}", height - 1: f"{low:.3f}"}
    drawn = "".join(f"  {labels.get(at, ''):>8} {''.join(line)}\n" for at, line in enumerate(lines))
    told = f"loss, step 1 to {len(losses)}" + ("; o: held back" if held_back else "")
    return f"{drawn}  {'':8} {told}\n"


def histogram(values: Sequence[float], *, title: str, below: str, bars: int = 24) -> str:
    """SVG of how often values lie in ranges of one width.

    Args:
        values: 0 or more each; may be empty.
        title: Stands above.
        below: What the values are, under the axis.
        bars: Ranges, from 0 to the largest value.
    """
    largest = max(values, default=0) or 1
    counts = [0] * bars
    for value in values:
        counts[min(bars - 1, int(bars * value / largest))] += 1
    top = float(max(counts)) or 1.0
    width = (WIDTH - 2 * MARGIN) / bars
    drawn = "".join(
        f'<rect x="{MARGIN + place * width + 1:.1f}" y="{_height(count, top):.1f}" width="{width - 2:.1f}" '
        f'height="{HEIGHT - MARGIN - _height(count, top):.1f}" fill="#1d4ed8"/>'
        for place, count in enumerate(counts)
        if count
    )
    ticks = "".join(_tick(top * share / 4, top, digits=0) for share in range(5))
    return _framed(f"{ticks}{drawn}", title=title, below=f"{below} (0 to {largest:g})")


def _framed(drawing: str, *, title: str, below: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="14">{escape(title)}</text>{drawing}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(below)}</text></svg>\n'
    )


def _running_mean(losses: Sequence[float], window: int) -> list[float]:
    means = []
    for place in range(len(losses)):
        recent = losses[max(0, place - window + 1) : place + 1]
        means.append(sum(recent) / len(recent))
    return means


def _height(value: float, top: float) -> float:
    return HEIGHT - MARGIN - value / top * (HEIGHT - 2 * MARGIN)


def _tick(value: float, top: float, *, digits: int = 2) -> str:
    y = _height(value, top)
    return (
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>'
        f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>'
    )
