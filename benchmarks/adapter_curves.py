"""A value against the learning rate, a line for each method, as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Drawn this much larger and made smaller, so that slanted lines are smooth."""
WIDTH, HEIGHT = 900, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 210, 24, 56
COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#a16207")
GREY, BLACK = "#d1d5db", "#111827"
TICKS = 5


def draw(lines: Mapping[str, Mapping[float, float]], path: Path) -> None:
    """Write the picture.

    Args:
        lines: Of each method the value at each rate; rates above 0.
        path: Of the PNG.
        below: What is drawn, under the axis.
    """
    rates = sorted({rate for line in lines.values() for rate in line})
    values = [value for line in lines.values() for value in line.values()]
    if not values:
        raise ValueError("nothing to draw")
    low, high = _room(values)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(13 * SCALE)

    def at(rate: float, value: float) -> tuple[float, float]:
        span = math.log(rates[-1] / rates[0]) or 1.0
        across = math.log(rate / rates[0]) / span
        up = (value - low) / (high - low)
        return (
            SCALE * (LEFT + across * (WIDTH - LEFT - RIGHT)),
            SCALE * (HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)),
        )

    for step in range(TICKS):
        value = low + (high - low) * step / (TICKS - 1)
        (left, y), (right, _) = at(rates[0], value), at(rates[-1], value)
        pen.line((left, y, right, y), fill=GREY, width=SCALE)
        pen.text((left - 10 * SCALE, y), f"{value:.2f}", fill=BLACK, font=font, anchor="rm")
    for rate in rates:
        x, y = at(rate, low)
        pen.text((x, y + 8 * SCALE), f"{rate:g}", fill=BLACK, font=font, anchor="mt")
    middle = SCALE * (LEFT + WIDTH - RIGHT) / 2
    pen.text((middle, SCALE * (HEIGHT - 10)), "held-back loss by learning rate", fill=BLACK, font=font, anchor="mb")
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [at(rate, line[rate]) for rate in sorted(line)]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2 * SCALE)
        for x, y in points:
            pen.ellipse((x - 4 * SCALE, y - 4 * SCALE, x + 4 * SCALE, y + 4 * SCALE), fill=colour)
        height = SCALE * (TOP + 12 + 22 * number)
        pen.line(
            (SCALE * (WIDTH - RIGHT + 20), height, SCALE * (WIDTH - RIGHT + 44), height), fill=colour, width=3 * SCALE
        )
        pen.text((SCALE * (WIDTH - RIGHT + 52), height), name, fill=BLACK, font=font, anchor="lm")
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path)


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Bounds of the axis, a little wider than the values."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or 0.05
    return low - margin, high + margin
