"""When the steps of a turn ran, as bars below each other: SVG made on the server."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, ROW, NAMES, NUMBERS = 640, 24, 200, 80
"""Of the drawing, of one row, of the room for names before the bars and for numbers behind them."""


def waterfall(rows: Sequence[tuple[str, float | None, float]], *, title: str) -> Markup:
    """Draw it.

    Args:
        rows: Name, begin and length in milliseconds; without a begin it is taken to be 0.
        title: What is seen, in words.
    """
    end = max(((begin or 0.0) + length for _, begin, length in rows), default=0.0) or 1.0
    scale = (WIDTH - NAMES - NUMBERS) / end
    parts = []
    for place, (name, begin, length) in enumerate(rows):
        y, x = place * ROW, NAMES + (begin or 0.0) * scale
        parts.append(
            f'<text class="scale" x="{NAMES - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{x:.1f}" y="{y + 5}" width="{max(1.5, length * scale):.1f}" height="14" rx="1.5"/>'
            f'<text class="scale" x="{x + max(1.5, length * scale) + 6:.1f}" y="{y + 16}">{length:,.0f} ms</text>'
        )
    # Nothing but numbers, and texts that were escaped.
    head = f'<svg class="chart waterfall" viewBox="0 0 {WIDTH} {max(1, len(rows)) * ROW}" role="img" '
    return Markup(f'{head}aria-label="{escape(title)}">{"".join(parts)}</svg>')  # noqa: S704
