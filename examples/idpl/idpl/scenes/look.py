"""How a domain looks and how its streets are laid out: numbers only."""

from dataclasses import dataclass

Range = tuple[float, float]
"""Both ends of a uniform distribution."""

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Of what a street is made; lengths in metres, counts of things a street has."""

    focal: Range
    horizon: Range
    """As a part of the picture's height."""
    above_ground: Range
    road_half: Range
    sidewalk: Range
    building_height: Range
    building_length: Range
    gap_chance: float
    """How likely a building is missing, with trees or sky in its place."""
    cars: Range
    people: Range
    riders: Range
    trees: Range
    poles: Range
    nearest: float


@dataclass(frozen=True, slots=True)
class Paints:
    """The colours that things are given; one is chosen, and varied a little."""

    sky_top: tuple[Colour, ...]
    sky_bottom: tuple[Colour, ...]
    road: tuple[Colour, ...]
    sidewalk: tuple[Colour, ...]
    facade: tuple[Colour, ...]
    window: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    car: tuple[Colour, ...]
    clothes: tuple[Colour, ...]
    metal: tuple[Colour, ...]
    sign: tuple[Colour, ...]


@dataclass(frozen=True, slots=True)
class Air:
    """What happens to the light on its way: between its ends by how bad a picture's weather is."""

    haze: Range
    """Of the light, lost in 100 metres: 1 is e-fold."""
    haze_colour: Colour
    gain: Range
    gamma: Range
    saturation: Range
    cast: Colour
    noise: Range
    blur: Range
    """Weight of the four neighbours."""
    vignette: float


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of pictures. `texture` is how strong surfaces' patterns are, 0 to 1."""

    name: str
    layout: Layout
    paints: Paints
    air: Air
    texture: float
    shadows: float
