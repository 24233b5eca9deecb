"""A loss curve as SVG, drawn with the standard library so that a training machine needs no plotting package."""

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
    label = f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">step (1 to {len(losses)})</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="14">{escape(title)}</text>{ticks}{label}'
        f'<polyline fill="none" stroke="#b8c4d6" points="{_points(losses, top)}"/>'
        f'<polyline fill="none" stroke="#1d4ed8" stroke-width="2" points="{_points(mean, top)}"/></svg>\n'
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


def _tick(value: float, top: float) -> str:
    y = _height(value, top)
    return (
        f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>'
        f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
    )
