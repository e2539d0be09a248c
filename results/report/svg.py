"""A line chart as SVG: no script, sharp on paper, in the colours of the page it stands in.

    series --axes: value to place--> grid, bands, lines, marks --> one <svg>

Everything is in units of the picture, 400 wide, which a browser scales to its column. Colours are
the page's classes `c0` ... `c7`; marks differ in shape too. All text goes through `Markup.format`,
which escapes it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

WIDTH, HEIGHT = 400, 262
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 22, 42
"""Margins: of tick labels, of half a mark, of the y axis' name, of ticks and the x axis' name."""
NUM_COLORS = 8
SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-5l5,5l-5,5l-5,-5z",
    "M0,-5l4.8,8.4h-9.6z",
    "M0,5l4.8,-8.4h-9.6z",
)
"""Circle, square, diamond, triangle up and down: told apart without colours."""
SHORT = 3
"""Digits of a number on an axis, unless its step takes more."""


class Bounded(Protocol):
    """Anything with an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value with its interval, and what is said of it when pointed at."""

    x: float
    y: float
    low: float
    high: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points that belong together. `flat`: one value, drawn over the whole width."""

    name: str
    points: Sequence[Point]
    number: int
    """Decides colour and shape."""
    flat: bool = False
    band: bool = True
    """Intervals as a band; else as a bar at each point."""

    @property
    def color(self) -> str:
        return f"c{self.number % NUM_COLORS}"

    @property
    def shape(self) -> Markup:
        return Markup(SHAPES[(self.number + self.number // NUM_COLORS) % len(SHAPES)])


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places. `ticks` are values and their texts."""

    name: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()
    log: bool = False

    def at(self, value: float, start: float, end: float) -> float:
        """The place of a value, where `low` is at `start` and `high` at `end`."""
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return round(start + share * (end - start), 1)


def share_axis(name: str, points: Iterable[Bounded]) -> Axis:
    """From a little below all intervals to a little above, within 0 and 100 %."""
    points = list(points)
    low = max(min(p.low for p in points), 0.0)
    high = min(max(p.high for p in points), 1.0)
    step = _step((high - low) or 0.1)
    low, high = max(math.floor(low / step + 1e-9) * step, 0), min(math.ceil(high / step) * step, 1)
    return Axis(f"{name}, %", low, high, _stepped(low, high, step, scale=100.0))


def value_axis(name: str, values: Iterable[float]) -> Axis:
    """All values, with a tick at each step."""
    values = sorted(values)
    low, high = values[0], values[-1]
    step = _step((high - low) or abs(high) or 1.0)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if low == high:
        low, high = low - step, high + step
    return Axis(name, low, high, _stepped(low, high, step))


def at_axis(name: str, values: Iterable[float], *, log: bool = True) -> Axis:
    """A tick at each of the values."""
    known = sorted(set(values))
    spare = 1.12 if log else (known[-1] - known[0]) * 0.04 or 0.5
    low, high = (
        (known[0] / spare, known[-1] * spare) if log else (known[0] - spare, known[-1] + spare)
    )
    axis = Axis(name, low, high, (), log)
    return Axis(name, low, high, _apart(axis, [(v, short(v)) for v in known]), log)


def log_axis(name: str, values: Iterable[float]) -> Axis:
    """All values, positive ones, with ticks at 1, 2, 5, 10, ..."""
    known = sorted(v for v in values if v > 0)
    low, high = known[0] / 1.12, known[-1] * 1.12
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ones = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    inside = [(v, short(v)) for v in round_ones if low <= v <= high]
    if len(inside) < 2:
        inside = [(v, short(v)) for v in dict.fromkeys((known[0], known[-1]))]
    axis = Axis(name, low, high, (), True)
    return Axis(name, low, high, _apart(axis, inside), True)


def short(value: float, digits: int = SHORT) -> str:
    """In few characters: 0.25, 40, 1.5k, 20k, 3M."""
    # Rounded first: 999.9 is 1k.
    value = float(f"{value:.{digits}g}")
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{unit}"
    return f"{value:.{digits}g}" if abs(value) >= 1e-9 else "0"


def line_chart(title: str, series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    """All series over the same axes."""
    parts = [*_grid(x, y)]
    for one in series:
        parts.append(Markup('<g class="{}" data-series="{}">').format(one.color, one.name))
        parts += _flat(one, y) if one.flat else _curve(one, x, y)
        parts.append(Markup("</g>"))
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(WIDTH, HEIGHT, title) + Markup("").join(parts) + Markup("</svg>")


def _step(width: float) -> float:
    """A round step that divides a width into 3 to 6 parts."""
    raw = width / 4.5
    power = 10.0 ** math.floor(math.log10(raw))
    return min((f * power for f in (1, 2, 2.5, 5, 10)), key=lambda step: abs(math.log(step / raw)))


def _stepped(
    low: float, high: float, step: float, *, scale: float = 1.0
) -> list[tuple[float, str]]:
    """A tick at each step, its text `scale` times the value with all of the digits that it has."""
    values = [low + i * step for i in range(round((high - low) / step) + 1)]
    digits = next(
        (
            digits
            for digits in range(SHORT, 15)
            if all(abs(float(f"{scale * v:.{digits}g}") / scale - v) < step / 100 for v in values)
        ),
        15,
    )
    return [(v, short(scale * v, digits)) for v in values]


def _apart(axis: Axis, ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Without the ticks whose labels would touch the one before."""
    kept: list[tuple[float, str]] = []
    for value, text in ticks:
        room = 8.0 * max(len(text), 2) + 6
        if not kept or _x(axis, value) - _x(axis, kept[-1][0]) >= room:
            kept.append((value, text))
    return kept


def _x(axis: Axis, value: float) -> float:
    return axis.at(value, LEFT, WIDTH - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return axis.at(min(max(value, axis.low), axis.high), HEIGHT - BOTTOM, TOP)


def _grid(x: Axis, y: Axis) -> Iterable[Markup]:
    foot, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value, text in y.ticks:
        at = _y(y, value)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            LEFT, end, at, at
        )
        yield Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(
            LEFT - 6, at + 4, text
        )
    for value, text in x.ticks:
        at = _x(x, value)
        yield Markup('<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            at, at, foot, foot + 4
        )
        yield Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            at, foot + 17, text
        )
    yield Markup('<text x="0" y="11" class="name">{}</text>').format(y.name)
    yield Markup('<text x="{}" y="{}" class="name" text-anchor="middle">{}</text>').format(
        (LEFT + end) / 2, HEIGHT - 5, x.name
    )


def _flat(one: Series, y: Axis) -> Iterable[Markup]:
    """One value has no place on the x axis: line and interval run over all of it."""
    (point,) = one.points
    top, foot, end = _y(y, point.high), _y(y, point.low), WIDTH - RIGHT
    yield Markup('<rect class="band" x="{}" y="{}" width="{}" height="{}"/>').format(
        LEFT, top, end - LEFT, round(foot - top, 1)
    )
    yield Markup('<path class="line dashed" d="M{},{}H{}"><title>{}</title></path>').format(
        LEFT, _y(y, point.y), end, point.says
    )


def _curve(one: Series, x: Axis, y: Axis) -> Iterable[Markup]:
    places = [(_x(x, p.x), _y(y, p.y)) for p in one.points]
    lows = [_y(y, p.low) for p in one.points]
    highs = [_y(y, p.high) for p in one.points]
    alone = len(one.points) == 1
    if one.band and not alone:
        edge = [(at, high) for (at, _), high in zip(places, highs, strict=True)]
        edge += [(at, low) for (at, _), low in reversed(list(zip(places, lows, strict=True)))]
        yield Markup('<path class="band" d="{}Z"/>').format(_path(edge))
    else:
        for (at, _), low, high in zip(places, lows, highs, strict=True):
            bar = f"M{at},{low}V{high}M{at - 3},{low}h6M{at - 3},{high}h6"
            yield Markup('<path class="bar" d="{}"/>').format(bar)
    yield Markup('<path class="line" d="{}"/>').format(_path(places))
    for point, (at, up) in zip(one.points, places, strict=True):
        mark = '<path class="mark" transform="translate({},{})" d="{}"><title>{}</title></path>'
        yield Markup(mark).format(at, up, one.shape, point.says)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x},{y}" for x, y in places)
