"""Small charts as SVG, made on the server: no script, no inline style (the policy forbids both).

Colours come from the style sheet by class. Whoever cannot see a chart reads its title and the table that
`parts.html` puts beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 180
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 24
"""Room around the plot, in which the numbers stand."""


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]],
    labels: Sequence[str],
    *,
    title: str,
    most: float | None = None,
    band: tuple[float, float] | None = None,
    limit: float | None = None,
) -> Markup:
    """Lines over equal steps.

    Args:
        series: Name and values; None leaves a gap.
        labels: One a step; the first, the middle and the last are written.
        title: What is seen, in words.
        most: Upper end of the scale; that of the values where absent.
        band: Lower and upper end of what is expected.
        limit: A value that should not be passed.
    """
    top = _top([values for _, values in series], most)
    parts = [*([_band(band, top)] if band else []), _frame(top, labels)]
    if limit is not None:
        y = _y(max(0.0, limit), top)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for index, (_, values) in enumerate(series):
        points = [None if value is None else (_x(i, len(values)), _y(value, top)) for i, value in enumerate(values)]
        for run in _runs(points):
            if len(run) == 1:
                parts.append(
                    f'<circle class="series-{index + 1} dot" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="3"/>'
                )
            else:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
                parts.append(f'<polyline class="series-{index + 1}" points="{path}"/>')
    return _svg(parts, title)


def bars(values: Sequence[float], labels: Sequence[str], *, title: str, most: float | None = None) -> Markup:
    """Bars, one a step; arguments as of `lines`."""
    top = _top([values], most)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    parts = [_frame(top, labels)]
    for index, value in enumerate(values):
        y = _y(value, top)
        parts.append(
            f'<rect class="bar" x="{LEFT + index * step + step * 0.12:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}" rx="1.5"/>'
        )
    return _svg(parts, title)


def spark(values: Sequence[float | None], *, title: str) -> Markup:
    """One small line without a scale."""
    top, known = _top([values], None), len(values)
    points = [
        None if value is None else (2 + index * 96 / max(1, known - 1), 26 - 24 * value / top)
        for index, value in enumerate(values)
    ]
    drawn = "".join(
        f'<polyline class="series-1" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in run)}"/>' for run in _runs(points)
    )
    head = f'<svg class="spark" viewBox="0 0 100 28" role="img" aria-label="{escape(title)}">'
    return Markup(head + drawn + "</svg>")  # noqa: S704


def _svg(parts: Sequence[str], title: str) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    # Nothing but numbers, our own words, and texts that were escaped.
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704


def _band(ends: tuple[float, float], top: float) -> str:
    low, high = (_y(min(max(0.0, value), top), top) for value in ends)
    return f'<rect class="band" x="{LEFT}" y="{high:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{low - high:.1f}"/>'


def _frame(top: float, labels: Sequence[str]) -> str:
    lines_ = []
    for share in (0.0, 0.5, 1.0):
        y = _y(top * share, top)
        lines_.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="scale" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(top * share)}</text>'
        )
    if labels:
        last = len(labels) - 1
        marks = {0: "start", last: "end"} if last else {0: "middle"}
        if last >= 4:
            marks[last // 2] = "middle"
        for index, anchor in marks.items():
            x = {"start": LEFT, "end": WIDTH - RIGHT}.get(anchor, _x(index, len(labels)))
            at = f'x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}"'
            lines_.append(f'<text class="scale" {at}>{escape(labels[index])}</text>')
    return "".join(lines_)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _top(all_values: Sequence[Sequence[float | None]], most: float | None) -> float:
    """A round number that no value exceeds."""
    if most:
        return most
    highest = max((value for values in all_values for value in values if value is not None), default=0.0)
    if highest <= 0:
        return 1.0
    power = 10.0
    while power > highest:
        power /= 10
    while power * 10 <= highest:
        power *= 10
    return next(power * factor for factor in (1, 2, 4, 5, 10) if power * factor >= highest)


def _x(index: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (index / (count - 1) if count > 1 else 0.5)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, top) / top


def _short(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}" if value < 10 else f"{value:.0f}"
