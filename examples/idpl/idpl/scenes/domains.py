"""The two domains: a clean, bright game, and a city under a real camera in all weathers."""

from typing import Final

from idpl.scenes.look import Air, Domain, Layout, Paints

GAME: Final = Domain(
    name="game",
    layout=Layout(
        focal=(62, 72),
        horizon=(0.40, 0.48),
        above_ground=(2.0, 2.6),
        road_half=(4.5, 6.5),
        sidewalk=(2.0, 3.0),
        building_height=(7, 16),
        building_length=(8, 16),
        gap_chance=0.2,
        cars=(2, 5),
        people=(2, 6),
        riders=(0.4, 2.4),
        trees=(1, 5),
        poles=(3, 6),
        nearest=6.5,
    ),
    paints=Paints(
        sky_top=((0.25, 0.52, 0.92), (0.32, 0.60, 0.95)),
        sky_bottom=((0.70, 0.86, 1.0), (0.78, 0.90, 1.0)),
        road=((0.33, 0.33, 0.36), (0.38, 0.37, 0.38)),
        sidewalk=((0.66, 0.62, 0.60), (0.72, 0.68, 0.62)),
        facade=(
            (0.85, 0.52, 0.38),
            (0.90, 0.80, 0.52),
            (0.80, 0.38, 0.32),
            (0.92, 0.88, 0.78),
            (0.70, 0.72, 0.80),
        ),
        window=((0.22, 0.35, 0.52), (0.30, 0.45, 0.62)),
        leaves=((0.20, 0.58, 0.18), (0.30, 0.66, 0.20)),
        car=((0.88, 0.12, 0.12), (0.14, 0.28, 0.80), (0.95, 0.80, 0.15), (0.95, 0.95, 0.95)),
        clothes=((0.90, 0.25, 0.45), (0.20, 0.30, 0.75), (0.95, 0.60, 0.15), (0.25, 0.60, 0.35)),
        metal=((0.55, 0.57, 0.60), (0.62, 0.62, 0.62)),
        sign=((0.90, 0.10, 0.10), (0.10, 0.30, 0.85), (0.98, 0.85, 0.10)),
    ),
    air=Air(
        haze=(0.0, 0.15),
        haze_colour=(0.80, 0.88, 1.0),
        gain=(1.0, 0.94),
        gamma=(1.0, 1.0),
        saturation=(1.1, 1.0),
        cast=(1.0, 1.0, 1.0),
        noise=(0.004, 0.01),
        blur=(0.0, 0.02),
        vignette=0.0,
    ),
    texture=0.15,
    shadows=0.3,
)
"""The source: labelled."""

CITY: Final = Domain(
    name="city",
    layout=Layout(
        focal=(74, 92),
        horizon=(0.44, 0.56),
        above_ground=(1.2, 1.6),
        road_half=(3.2, 5.0),
        sidewalk=(2.4, 4.0),
        building_height=(10, 26),
        building_length=(6, 20),
        gap_chance=0.12,
        cars=(2, 6),
        people=(2, 8),
        riders=(0.4, 2.6),
        trees=(1, 6),
        poles=(3, 7),
        nearest=6.5,
    ),
    paints=Paints(
        sky_top=((0.62, 0.66, 0.70), (0.55, 0.62, 0.70), (0.72, 0.72, 0.72)),
        sky_bottom=((0.82, 0.83, 0.84), (0.88, 0.86, 0.82)),
        road=((0.36, 0.35, 0.34), (0.44, 0.42, 0.40), (0.30, 0.30, 0.31)),
        sidewalk=((0.50, 0.48, 0.46), (0.56, 0.52, 0.47)),
        facade=(
            (0.56, 0.47, 0.40),
            (0.48, 0.46, 0.45),
            (0.66, 0.61, 0.53),
            (0.44, 0.36, 0.31),
            (0.60, 0.60, 0.58),
        ),
        window=((0.24, 0.26, 0.27), (0.36, 0.39, 0.40), (0.60, 0.62, 0.62)),
        leaves=((0.22, 0.30, 0.16), (0.34, 0.36, 0.20), (0.16, 0.24, 0.14)),
        car=((0.14, 0.14, 0.15), (0.52, 0.53, 0.54), (0.78, 0.78, 0.78), (0.20, 0.24, 0.34)),
        clothes=((0.14, 0.14, 0.18), (0.24, 0.26, 0.34), (0.42, 0.32, 0.28), (0.46, 0.18, 0.18)),
        metal=((0.34, 0.35, 0.35), (0.46, 0.46, 0.45)),
        sign=((0.70, 0.16, 0.16), (0.20, 0.30, 0.56), (0.80, 0.72, 0.34)),
    ),
    air=Air(
        haze=(0.1, 3.5),
        haze_colour=(0.74, 0.75, 0.76),
        gain=(1.05, 0.62),
        gamma=(1.0, 1.12),
        saturation=(0.85, 0.4),
        cast=(1.0, 0.98, 0.92),
        noise=(0.012, 0.045),
        blur=(0.08, 0.16),
        vignette=0.3,
    ),
    texture=0.8,
    shadows=0.55,
)
"""The target: its labels are for evaluation only."""

DOMAINS: Final = {domain.name: domain for domain in (GAME, CITY)}
