"""What stands in a street, drawn from a few shapes in the coordinates of its own box."""

from collections.abc import Callable
from typing import Final

import numpy as np

from idpl.classes import STREET
from idpl.scenes.canvas import Canvas, Colour, Mask, Patch
from idpl.scenes.street import Thing
from idpl.scenes.surfaces import grain

_NUMBER: Final = {name: number for number, name in enumerate(STREET.names)}
_DARK: Final = (0.10, 0.10, 0.11)
_SKIN: Final = (0.80, 0.62, 0.50)
_GLASS: Final = (0.45, 0.56, 0.63)


def _ellipse(patch: Patch, u: float, v: float, wide: float, high: float) -> Mask:
    return ((patch.u - u) / wide) ** 2 + ((patch.v - v) / high) ** 2 < 1


def _box(patch: Patch, left: float, right: float, low: float, high: float) -> Mask:
    return (patch.u >= left) & (patch.u < right) & (patch.v >= low) & (patch.v < high)


def _bar(patch: Patch, start: tuple[float, float], end: tuple[float, float], wide: float) -> Mask:
    """A straight limb, `wide` to each side along `u`."""
    low, high = min(start[1], end[1]), max(start[1], end[1])
    along = (patch.v - start[1]) / (end[1] - start[1])
    middle = start[0] + (end[0] - start[0]) * along
    return (np.abs(patch.u - middle) < wide) & (patch.v >= low) & (patch.v < high)


def _shade(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def paint_thing(canvas: Canvas, thing: Thing, shadows: float) -> None:
    """Paint one thing and its shadow on the ground."""
    wide, high, painter = _KINDS[thing.kind]
    camera = canvas.camera
    scale = camera.scale(thing.z) * thing.size
    middle, ground = camera.column(thing.x, thing.z), camera.ground_row(thing.z)
    half = wide * scale / 2
    _paint_shadow(canvas, middle, ground, half, shadows)
    patch = canvas.patch(middle - half, ground - high * scale, middle + half, ground)
    if patch is not None:
        painter(canvas, patch, thing)


def _paint_shadow(
    canvas: Canvas, middle: float, ground: float, half: float, shadows: float
) -> None:
    flat = max(half * 0.16, 0.3)
    patch = canvas.patch(middle - half * 1.1, ground - flat, middle + half * 1.1, ground + flat)
    if patch is None:
        return
    dark = patch.u**2 + (patch.v * 2 - 1) ** 2 < 1
    flat_things = canvas.label[patch.rows, patch.columns] < 2  # road and sidewalk
    canvas.colour[patch.rows, patch.columns][dark & flat_things] *= 1 - shadows


def _car(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    def stamp(mask: Mask, colour: Colour) -> None:
        canvas.stamp(patch, mask, colour, _NUMBER["car"], thing.z)

    stamp(_box(patch, -0.92, -0.55, 0, 0.3) | _box(patch, 0.55, 0.92, 0, 0.3), _DARK)
    stamp(_box(patch, -0.98, 0.98, 0.14, 0.62), thing.colour)
    cabin = (np.abs(patch.u) < 0.98 - (patch.v - 0.55) * 0.75) & (patch.v >= 0.55)
    stamp(cabin & (patch.v < 1), _shade(thing.colour, 0.9))
    glass = (np.abs(patch.u) < 0.84 - (patch.v - 0.55) * 0.75) & (patch.v >= 0.62)
    stamp(glass & (patch.v < 0.92), _GLASS)
    lamp = (0.95, 0.92, 0.75) if thing.facing > 0 else (0.75, 0.08, 0.08)
    lamps = _box(patch, -0.94, -0.66, 0.40, 0.54) | _box(patch, 0.66, 0.94, 0.40, 0.54)
    stamp(lamps, lamp)
    stamp(_box(patch, -0.3, 0.3, 0.24, 0.36), (0.85, 0.85, 0.85))
    stamp(_box(patch, -0.98, 0.98, 0.14, 0.20), _shade(thing.colour, 0.5))


def _car_side(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    def stamp(mask: Mask, colour: Colour) -> None:
        canvas.stamp(patch, mask, colour, _NUMBER["car"], thing.z)

    u = patch.u * thing.facing
    stamp(_box(patch, -0.98, 0.98, 0.18, 0.58), thing.colour)
    cabin = (u > -0.75 + (patch.v - 0.55) * 0.35) & (u < 0.50 - (patch.v - 0.55) * 0.55)
    stamp(cabin & (patch.v >= 0.55) & (patch.v < 1), thing.colour)
    glass = (u > -0.64 + (patch.v - 0.55) * 0.35) & (u < 0.40 - (patch.v - 0.55) * 0.55)
    pillar = np.abs(u + 0.12) < 0.04
    stamp(glass & ~pillar & (patch.v >= 0.62) & (patch.v < 0.93), _GLASS)
    for wheel in (-0.60, 0.60):
        stamp(_ellipse(patch, wheel, 0.18, 0.17, 0.18), _DARK)
        stamp(_ellipse(patch, wheel, 0.18, 0.07, 0.08), (0.6, 0.6, 0.6))


def _person(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    def stamp(mask: Mask, colour: Colour) -> None:
        canvas.stamp(patch, mask, colour, _NUMBER["person"], thing.z)

    legs = _shade(thing.second, 0.6)
    stamp(_bar(patch, (-0.55, 0), (-0.15, 0.5), 0.24), legs)
    stamp(_bar(patch, (0.50, 0), (0.15, 0.5), 0.24), legs)
    stamp(_bar(patch, (-0.85, 0.42), (-0.45, 0.8), 0.16), _shade(thing.colour, 0.85))
    stamp(_bar(patch, (0.85, 0.42), (0.45, 0.8), 0.16), _shade(thing.colour, 0.85))
    stamp(_box(patch, -0.55, 0.55, 0.46, 0.83), thing.colour)
    stamp(_ellipse(patch, 0, 0.91, 0.36, 0.09), _SKIN)
    stamp(_ellipse(patch, 0, 0.94, 0.38, 0.06), (0.25, 0.17, 0.10))


def _rider(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    def stamp(mask: Mask, colour: Colour) -> None:
        canvas.stamp(patch, mask, colour, _NUMBER["rider"], thing.z)

    for wheel in (-0.58, 0.58):
        stamp(_ellipse(patch, wheel, 0.20, 0.40, 0.20), _DARK)
        stamp(_ellipse(patch, wheel, 0.20, 0.24, 0.12), (0.42, 0.42, 0.42))
    turn = thing.facing
    frame = (0.7, 0.2, 0.15)
    stamp(_bar(patch, (-0.58 * turn, 0.2), (-0.2 * turn, 0.46), 0.07), frame)
    stamp(_bar(patch, (0.58 * turn, 0.2), (0.42 * turn, 0.55), 0.07), frame)
    stamp(_box(patch, -0.4, 0.45, 0.38, 0.43), frame)
    stamp(_bar(patch, (0.05 * turn, 0.12), (-0.2 * turn, 0.52), 0.13), _shade(thing.second, 0.6))
    stamp(_bar(patch, (-0.22 * turn, 0.46), (0.12 * turn, 0.84), 0.24), thing.colour)
    stamp(_bar(patch, (0.45 * turn, 0.55), (0.12 * turn, 0.78), 0.09), _shade(thing.colour, 0.8))
    stamp(_ellipse(patch, 0.18 * turn, 0.91, 0.17, 0.09), _SKIN)
    stamp(_ellipse(patch, 0.16 * turn, 0.945, 0.19, 0.055), (0.9, 0.85, 0.3))


def _tree(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    def stamp(mask: Mask, colour: Colour) -> None:
        canvas.stamp(patch, mask, colour, _NUMBER["vegetation"], thing.z)

    stamp(_box(patch, -0.07, 0.07, 0, 0.5), (0.30, 0.22, 0.15))
    lumps = grain(patch.u * 6 + thing.x, patch.v * 9 + thing.z, thing.size)
    crown = np.zeros_like(lumps, dtype=bool)
    for u, v, wide, high in (
        (0, 0.70, 0.75, 0.30),
        (-0.45, 0.58, 0.5, 0.2),
        (0.48, 0.60, 0.5, 0.2),
        (0.1, 0.85, 0.5, 0.15),
    ):
        crown |= _ellipse(patch, u, v, wide, high)
    stamp(crown, thing.colour)
    stamp(crown & (lumps > 0.3), _shade(thing.colour, 1.2))
    stamp(crown & ((lumps < -0.4) | (patch.v + patch.u * 0.2 < 0.55)), _shade(thing.colour, 0.72))


def _pole(canvas: Canvas, patch: Patch, thing: Thing, top: float, wide: float) -> None:
    metal = (0.5, 0.5, 0.5) if thing.kind == "sign" else thing.colour
    canvas.stamp(patch, _box(patch, -wide, wide, 0, top), metal, _NUMBER["pole"], thing.z)
    lit = _box(patch, -wide, -wide * 0.3, 0, top)
    canvas.stamp(patch, lit, _shade(metal, 1.2), _NUMBER["pole"], thing.z)


def _light(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    _pole(canvas, patch, thing, 0.74, 0.2)
    number = _NUMBER["light"]
    canvas.stamp(patch, _box(patch, -0.78, 0.78, 0.70, 1), (0.12, 0.13, 0.11), number, thing.z)
    lamps = ((0.94, (0.95, 0.15, 0.1)), (0.85, (0.9, 0.7, 0.1)), (0.76, (0.1, 0.85, 0.35)))
    burning = round(thing.z * 10) % 3
    for which, (v, colour) in enumerate(lamps):
        shown = colour if which == burning else _shade(colour, 0.3)
        canvas.stamp(patch, _ellipse(patch, 0, v, 0.55, 0.042), shown, number, thing.z)


def _sign(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    _pole(canvas, patch, thing, 0.78, 0.17)
    number = _NUMBER["sign"]
    if thing.facing > 0:
        disc, inner = _ellipse(patch, 0, 0.85, 0.95, 0.15), _ellipse(patch, 0, 0.85, 0.6, 0.095)
    else:
        disc = (np.abs(patch.u) < 0.95 * (1 - (patch.v - 0.70) / 0.3)) & (patch.v > 0.70)
        inner = (np.abs(patch.u) < 0.55 * (1 - (patch.v - 0.75) / 0.2)) & (patch.v > 0.745)
    canvas.stamp(patch, disc, thing.colour, number, thing.z)
    canvas.stamp(patch, inner, (0.92, 0.92, 0.90), number, thing.z)


def _lamp(canvas: Canvas, patch: Patch, thing: Thing) -> None:
    number = _NUMBER["pole"]
    post = _box(patch, -0.14, 0.14, 0, 0.98)
    canvas.stamp(patch, post, thing.colour, number, thing.z)
    arm = (patch.u * thing.facing >= -0.14) & (patch.v >= 0.955) & (patch.v < 0.99)
    canvas.stamp(patch, arm, thing.colour, number, thing.z)
    head = (patch.u * thing.facing >= 0.45) & (patch.v >= 0.93) & (patch.v < 0.96)
    canvas.stamp(patch, head, (0.95, 0.93, 0.8), number, thing.z)


_Painter = Callable[[Canvas, Patch, Thing], None]

_KINDS: Final[dict[str, tuple[float, float, _Painter]]] = {
    "car": (1.9, 1.5, _car),
    "car_side": (4.2, 1.5, _car_side),
    "person": (0.75, 1.8, _person),
    "rider": (1.85, 1.9, _rider),
    "tree": (3.6, 6.0, _tree),
    "light": (0.95, 4.0, _light),
    "sign": (1.25, 3.3, _sign),
    "lamp": (1.8, 6.5, _lamp),
}
"""Width and height in metres, and who paints it."""
