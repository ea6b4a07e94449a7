"""Sky, ground and the houses along the street, each ray met with the plane it hits."""

import numpy as np

from idpl.classes import STREET
from idpl.scenes.camera import Floats
from idpl.scenes.canvas import Canvas
from idpl.scenes.street import Building, Street

_ROAD, _SIDEWALK = STREET.names.index("road"), STREET.names.index("sidewalk")
_BUILDING, _SKY = STREET.names.index("building"), STREET.names.index("sky")
_GRASS = STREET.names.index("vegetation")


def grain(first: Floats, second: Floats, salt: float) -> Floats:
    """Return noise from -1 to 1 that depends on a place in the world, not on the picture."""
    cell = np.floor(first) * np.float32(12.9898) + np.floor(second) * np.float32(78.233)
    mixed = np.sin(cell + np.float32(salt)) * np.float32(4375.8545)
    return (mixed - np.floor(mixed)) * 2 - 1


def paint_sky(canvas: Canvas, street: Street) -> None:
    """Fill the whole canvas with sky, lighter toward the horizon, with a few clouds."""
    up = np.clip(1 - canvas.rows / canvas.camera.horizon, 0, 1)[..., None]
    sky = np.asarray(street.sky_bottom) * (1 - up) + np.asarray(street.sky_top) * up
    lumps = np.sin(canvas.columns * 0.11 + street.road_half) * np.sin(canvas.rows * 0.35 + 1.0)
    clouds = np.clip(lumps - 0.55, 0, 1)[..., None] * 0.5
    canvas.colour[...] = sky + (1 - sky) * clouds
    canvas.label[...] = _SKY


def paint_ground(canvas: Canvas, street: Street, texture: float) -> None:
    """Paint road with its marks, kerbs, sidewalks, and what grows behind, below the horizon."""
    camera = canvas.camera
    patch = canvas.patch(0, camera.horizon + 0.5, camera.width, camera.height)
    if patch is None:
        return
    z = camera.distances(canvas.rows[patch.rows])
    x = camera.right(canvas.columns, z)
    beside = np.abs(x)
    salt = street.sidewalk * 100
    rough = grain(x * 6, z * 4, salt)[..., None] * np.float32(0.08 * texture)
    stains = grain(x * 0.7, z * 0.3, salt)[..., None] * np.float32(0.06 * texture)
    far = np.broadcast_to(z, x.shape)

    grass = np.array((0.35, 0.42, 0.22), dtype=np.float32) * (1 + rough * 3)
    canvas.fill(patch, beside >= street.road_half + street.sidewalk, grass, _GRASS, far)

    pale = np.asarray(street.pavement, dtype=np.float32)
    slabs = (np.mod(x, 1.2) < 0.07) | (np.mod(z, 1.2) < 0.07)
    pavement = pale + rough - slabs[..., None] * np.float32(0.05 + 0.06 * texture)
    kerb = beside < street.road_half + 0.2
    pavement = np.where(kerb[..., None], pale * np.float32(1.12), pavement)
    paved = (beside >= street.road_half) & (beside < street.road_half + street.sidewalk)
    canvas.fill(patch, paved, pavement, _SIDEWALK, far)

    dashes = (beside < 0.09) & (np.mod(z, 6.0) < 3.0)
    marks = dashes | (np.abs(beside - (street.road_half - 0.35)) < 0.06)
    road = np.asarray(street.road, dtype=np.float32) + rough + stains
    road = np.where(marks[..., None], np.float32(0.85 - 0.25 * texture), road)
    canvas.fill(patch, beside < street.road_half, road, _ROAD, far)


def paint_rows(canvas: Canvas, street: Street, texture: float) -> None:
    """Paint the houses on both sides, the far ones first."""
    wall = street.road_half + street.sidewalk
    for side, row in ((-1, street.left), (1, street.right)):
        for building in reversed(row):
            if building.height > 0:
                _paint_front(canvas, building, side * wall, texture)
                _paint_gable(canvas, building, side, wall, texture)


def _paint_front(canvas: Canvas, house: Building, wall: float, texture: float) -> None:
    camera = canvas.camera
    side = 1 if wall > 0 else -1
    ends = (camera.column(wall, house.near), camera.column(wall, house.far))
    patch = canvas.patch(min(ends), 0, max(ends), camera.height)
    if patch is None:
        return
    across = np.maximum((canvas.columns[:, patch.columns] - camera.centre) * side, 1e-3)
    z = camera.focal * abs(wall) / across
    up = camera.above_ground - (canvas.rows - camera.horizon) * z / camera.focal
    hit = (up >= 0) & (up < house.height) & (z < house.far)
    distance = np.broadcast_to(z, hit.shape)
    colour = _facade(house, distance - np.float32(house.near), up, texture)
    canvas.fill(patch, hit, colour, _BUILDING, distance)


def _paint_gable(canvas: Canvas, house: Building, side: int, wall: float, texture: float) -> None:
    camera = canvas.camera
    z = house.near
    ends = (camera.column(side * wall, z), camera.column(side * (wall + 14), z))
    bottom = camera.ground_row(z)
    top = bottom - house.height * camera.scale(z)
    patch = canvas.patch(min(ends), top, max(ends), bottom)
    if patch is None:
        return
    x = (canvas.columns[:, patch.columns] - camera.centre) * z / camera.focal * side
    hit = np.ones((patch.v.shape[0], patch.u.shape[1]), dtype=bool)
    across = np.broadcast_to(x - wall, hit.shape)
    up = np.broadcast_to(patch.v * house.height, hit.shape)
    distance = np.full(hit.shape, z, dtype=np.float32)
    canvas.fill(patch, hit, _facade(house, across, up, texture) * 0.82, _BUILDING, distance)


def _facade(house: Building, along: Floats, up: Floats, texture: float) -> Floats:
    bricks = grain(along * 3, up * 8, house.bay * 50)[..., None] * np.float32(0.09 * texture)
    weather = grain(along * 0.6, up * 0.5, house.bay * 70)[..., None] * np.float32(0.07 * texture)
    colour = np.asarray(house.facade, dtype=np.float32) + bricks + weather
    sideways = np.mod(along, house.bay) / house.bay
    floor = np.mod(up, house.storey) / house.storey
    ground_floor = up < house.storey
    window = (sideways > 0.25) & (sideways < 0.75) & (floor > 0.28) & (floor < 0.80)
    shop = ground_floor & (sideways > 0.12) & (sideways < 0.88) & (floor > 0.05) & (floor < 0.75)
    pane = (window & ~ground_floor & (up < house.height - 0.8)) | shop
    lit = grain(along / house.bay, up / house.storey, house.storey * 90)[..., None]
    glass = np.asarray(house.window, dtype=np.float32) * (1 + np.float32(0.35) * lit)
    ledge = (floor < 0.06) & ~ground_floor
    colour = np.where(ledge[..., None], colour * np.float32(0.85), colour)
    colour = np.where((up > house.height - 0.5)[..., None], colour * np.float32(0.7), colour)
    return np.where(pane[..., None], glass, colour).astype(np.float32)
