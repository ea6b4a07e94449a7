"""Curves over time as SVG."""

from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[int, float]]
Colour = tuple[int, int, int]

_WIDE, _HIGH = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 120, 10, 26


def curves(series: Mapping[str, Points], colours: Mapping[str, Colour], label: str) -> str:
    """Return one drawing of all series that have points; empty text where none has."""
    drawn = {name: points for name, points in series.items() if len(points) > 1}
    if not drawn:
        return ""
    steps = [step for points in drawn.values() for step, _ in points]
    values = [value for points in drawn.values() for _, value in points]
    first, last = min(steps), max(*steps, min(steps) + 1)
    low, high = min(values), max(*values, min(values) + 1e-6)

    def at(step: float, value: float) -> tuple[float, float]:
        x = _LEFT + (step - first) / (last - first) * (_WIDE - _LEFT - _RIGHT)
        y = _TOP + (high - value) / (high - low) * (_HIGH - _TOP - _BOTTOM)
        return x, y

    parts = [_axis(first, last, low, high)]
    ends = sorted(drawn, key=lambda name: -drawn[name][-1][1])
    taken = -1e9
    for name in ends:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in drawn[name]))
        colour = f"rgb{colours.get(name, (90, 90, 90))}"
        x, y = at(*drawn[name][-1])
        taken = max(y, taken + 12)  # names of curves that end together stand below each other
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
            f'<text x="{x + 6:.1f}" y="{taken + 4:.1f}" fill="{colour}" class="name">'
            f"{escape(name)}</text>"
        )
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(first: int, last: int, low: float, high: float) -> str:
    right, bottom = _WIDE - _RIGHT, _HIGH - _BOTTOM
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = _TOP + (1 - part) * (bottom - _TOP)
        value = low + part * (high - low)
        lines.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" class="grid"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.2f}</text>'
        )
        x = _LEFT + part * (right - _LEFT)
        step = round(first + part * (last - first))
        lines.append(f'<text x="{x}" y="{_HIGH - 8}" text-anchor="middle">{step}</text>')
    return "".join(lines)
