"""One scene as a picture and its labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idpl.scenes.camera import Camera, Floats
from idpl.scenes.canvas import Canvas
from idpl.scenes.look import Domain, Range
from idpl.scenes.sprites import paint_thing
from idpl.scenes.street import make_street
from idpl.scenes.surfaces import paint_ground, paint_rows, paint_sky

_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture [H, W, 3] of bytes, its classes [H, W], and how bad its weather is (0 to 1)."""

    picture: NDArray[np.uint8]
    label: NDArray[np.uint8]
    weather: float


def render_scene(domain: Domain, seed: tuple[int, ...], size: tuple[int, int]) -> Scene:
    """Render the scene with this seed. `size` is height and width in pixels.

    The same arguments give the same bytes with the same numpy.
    """
    random = np.random.default_rng(seed)
    street = make_street(domain, random)
    canvas = Canvas(_camera(domain, random, size))
    paint_sky(canvas, street)
    paint_ground(canvas, street, domain.texture)
    paint_rows(canvas, street, domain.texture)
    for thing in street.things:
        paint_thing(canvas, thing, domain.shadows)
    weather = float(random.uniform())
    picture = _seen(canvas, domain, weather, random)
    middle = _SAMPLES // 2
    return Scene(picture, canvas.label[middle::_SAMPLES, middle::_SAMPLES].copy(), weather)


def _camera(domain: Domain, random: np.random.Generator, size: tuple[int, int]) -> Camera:
    height, width = size
    layout = domain.layout
    return Camera(
        width=width,
        height=height,
        samples=_SAMPLES,
        focal=random.uniform(*layout.focal) * width / 128,
        horizon=random.uniform(*layout.horizon) * height,
        above_ground=random.uniform(*layout.above_ground),
        centre=width * random.uniform(0.4, 0.6),
    )


def _between(ends: Range, part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part


def _seen(
    canvas: Canvas, domain: Domain, weather: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Send the light through the air and into the camera."""
    air = domain.air
    far = np.minimum(canvas.distance, np.float32(250.0))[..., None] / 100
    clear = np.exp(-np.float32(_between(air.haze, weather**2)) * far)
    colour = canvas.colour * clear + np.asarray(air.haze_colour, dtype=np.float32) * (1 - clear)
    small = _averaged(colour, canvas.camera)
    grey = small.mean(axis=2, keepdims=True)
    small = grey + (small - grey) * np.float32(_between(air.saturation, weather))
    light = np.float32(_between(air.gain, weather)) * np.asarray(air.cast, dtype=np.float32)
    small = small * light
    small = np.clip(small, 0, None) ** np.float32(_between(air.gamma, weather))
    small = small * _vignette(canvas.camera, air.vignette)
    small = _blurred(small, _between(air.blur, weather))
    noise = random.normal(0, _between(air.noise, weather), small.shape)
    return (np.clip(small + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


def _averaged(colour: Floats, camera: Camera) -> Floats:
    split = colour.reshape(camera.height, camera.samples, camera.width, camera.samples, 3)
    return np.asarray(split.mean(axis=(1, 3)), dtype=np.float32)


def _vignette(camera: Camera, strength: float) -> Floats:
    rows = np.linspace(-1, 1, camera.height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, camera.width, dtype=np.float32)[None, :, None]
    return np.float32(1) - np.float32(strength / 2) * (rows**2 + columns**2)


def _blurred(colour: Floats, weight: float) -> Floats:
    around = np.pad(colour, ((1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    return colour * np.float32(1 - 4 * weight) + neighbours * np.float32(weight)
