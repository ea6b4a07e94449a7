"""A street drawn at random from a layout: what stands where. Nothing is painted here."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from idpl.scenes.look import Colour, Domain, Range

FAR: Final = 110.0
"""Nothing stands further away (metres)."""


@dataclass(frozen=True, slots=True)
class Building:
    """One house of a row along the street, from `near` to `far`; missing where `height` is 0."""

    near: float
    far: float
    height: float
    facade: Colour
    window: Colour
    storey: float
    bay: float


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands on the ground. `facing` is -1 or 1, `size` a factor near 1."""

    kind: str
    x: float
    z: float
    size: float
    facing: int
    colour: Colour
    second: Colour


@dataclass(frozen=True, slots=True)
class Street:
    """Everything of one scene, in metres."""

    road_half: float
    sidewalk: float
    left: tuple[Building, ...]
    right: tuple[Building, ...]
    things: tuple[Thing, ...]
    sky_top: Colour
    sky_bottom: Colour
    road: Colour
    pavement: Colour


def make_street(domain: Domain, random: np.random.Generator) -> Street:
    """Return a street of the domain; the same generator state gives the same street."""
    layout, paints = domain.layout, domain.paints
    road_half, sidewalk = random.uniform(*layout.road_half), random.uniform(*layout.sidewalk)
    return Street(
        road_half=road_half,
        sidewalk=sidewalk,
        left=_row(domain, random),
        right=_row(domain, random),
        things=tuple(_things(domain, random, road_half, sidewalk)),
        sky_top=_paint(random, paints.sky_top),
        sky_bottom=_paint(random, paints.sky_bottom),
        road=_paint(random, paints.road),
        pavement=_paint(random, paints.sidewalk),
    )


def _paint(random: np.random.Generator, choices: tuple[Colour, ...], vary: float = 0.05) -> Colour:
    chosen = np.asarray(choices[random.integers(len(choices))])
    red, green, blue = np.clip(chosen * random.uniform(1 - vary, 1 + vary, 3), 0, 1)
    return float(red), float(green), float(blue)


def _count(random: np.random.Generator, between: Range) -> int:
    return int(random.uniform(between[0], between[1] + 0.999))


def _row(domain: Domain, random: np.random.Generator) -> tuple[Building, ...]:
    row, near = [], 0.5
    while near < FAR:
        far = near + random.uniform(*domain.layout.building_length)
        missing = random.uniform() < domain.layout.gap_chance
        row.append(
            Building(
                near=near,
                far=far,
                height=0.0 if missing else random.uniform(*domain.layout.building_height),
                facade=_paint(random, domain.paints.facade, 0.1),
                window=_paint(random, domain.paints.window),
                storey=random.uniform(2.8, 3.6),
                bay=random.uniform(1.8, 3.2),
            )
        )
        near = far
    return tuple(row)


def _distance(random: np.random.Generator, near: float, far: float) -> float:
    # Things are seen by their angle: many near ones would hide all the rest.
    return float(near * (far / near) ** random.uniform())


def _things(
    domain: Domain, random: np.random.Generator, road_half: float, sidewalk: float
) -> list[Thing]:
    layout, paints = domain.layout, domain.paints
    near = layout.nearest
    made: list[Thing] = []

    def add(kind: str, x: float, z: float, colours: tuple[Colour, ...], size: float) -> None:
        facing = 1 if random.uniform() < 0.5 else -1
        second = _paint(random, paints.clothes)
        made.append(Thing(kind, x, z, size, facing, _paint(random, colours), second))

    def side() -> int:
        return 1 if random.uniform() < 0.5 else -1

    for _ in range(_count(random, layout.cars)):
        parked = random.uniform() < 0.5
        lane = road_half - 1.2 if parked else road_half * random.uniform(0.25, 0.6)
        kind = "car_side" if random.uniform() < 0.2 else "car"
        add(kind, side() * lane, _distance(random, near, 45), paints.car, random.uniform(0.9, 1.15))
    for _ in range(_count(random, layout.people)):
        crossing = random.uniform() < 0.25
        reach = random.uniform(0, road_half) if crossing else road_half + random.uniform(0.3, 2.2)
        size = random.uniform(0.85, 1.1)
        add("person", side() * reach, _distance(random, near, 22), paints.clothes, size)
    for _ in range(_count(random, layout.riders)):
        reach = road_half * random.uniform(0.2, 0.9)
        size = random.uniform(0.95, 1.1)
        add("rider", side() * reach, _distance(random, near, 18), paints.clothes, size)
    for _ in range(_count(random, layout.trees)):
        reach = road_half + sidewalk * random.uniform(0.6, 1.0)
        size = random.uniform(0.8, 1.4)
        add("tree", side() * reach, _distance(random, 9, 60), paints.leaves, size)
    for number in range(_count(random, layout.poles)):
        kind = ("light", "sign", "lamp", "sign")[number % 4]
        reach = road_half + random.uniform(0.25, 0.7)
        colours = paints.sign if kind == "sign" else paints.metal
        size = random.uniform(0.9, 1.15)
        add(kind, side() * reach, _distance(random, near, 24), colours, size)
    return sorted(made, key=lambda thing: -thing.z)
