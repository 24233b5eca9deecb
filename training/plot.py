"""A loss curve and a histogram as SVG, drawn with the standard library: training needs no plotting package."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 640, 320, 48


def loss_plot(losses: Sequence[float], *, title: str) -> str:
    """SVG of the loss at each step and its running mean.

    Args:
        losses: At step 1, 2, ...; may be empty.
        title: Stands above the curve.
    """
    top = max(losses, default=1.0) * 1.05 or 1.0
    mean = _running_mean(losses, max(1, len(losses) // 20))
    ticks = "".join(_tick(top * share / 4, top) for share in range(5))
    lines = (
        f'<polyline fill="none" stroke="#b8c4d6" points="{_points(losses, top)}"/>'
        f'<polyline fill="none" stroke="#1d4ed8" stroke-width="2" points="{_points(mean, top)}"/>'
    )
    return _framed(f"{ticks}{lines}", title=title, below=f"step (1 to {len(losses)})")


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


def _points(values: Sequence[float], top: float) -> str:
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    return " ".join(f"{MARGIN + place * step:.1f},{_height(value, top):.1f}" for place, value in enumerate(values))


def _height(value: float, top: float) -> float:
    return HEIGHT - MARGIN - value / top * (HEIGHT - 2 * MARGIN)


def _tick(value: float, top: float, *, digits: int = 2) -> str:
    y = _height(value, top)
    return (
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>'
        f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>'
    )
