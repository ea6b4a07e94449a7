"""The rendered scenes."""

import numpy as np
import pytest

from idpl.classes import STREET
from idpl.data.rendered import RenderedPictures, cache_directory
from idpl.png import encode
from idpl.scenes.domains import CITY, GAME
from idpl.scenes.render import render_scene
from idpl.scenes.sheet import contact_sheet
from idpl.scenes.street import make_street

SIZE = (64, 128)


@pytest.fixture(scope="module")
def scenes():
    return {
        domain.name: [render_scene(domain, (5, index), SIZE) for index in range(12)]
        for domain in (GAME, CITY)
    }


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, again, other = (render_scene(CITY, (1, number), SIZE) for number in (3, 3, 4))
    assert np.array_equal(one.picture, again.picture)
    assert np.array_equal(one.label, again.label)
    assert not np.array_equal(one.picture, other.picture)


def test_every_class_appears_in_both_domains_and_hard_ones_are_rare(scenes) -> None:
    for rendered in scenes.values():
        pixels = np.concatenate([scene.label.ravel() for scene in rendered])
        part = np.bincount(pixels, minlength=len(STREET)) / pixels.size
        assert (part > 0).all()
        assert part[list(STREET.hard_numbers())].sum() < 0.12


def test_the_domains_differ_in_light_colour_and_noise(scenes) -> None:
    def of(name: str, what) -> float:
        return float(np.mean([what(scene.picture.astype(float)) for scene in scenes[name]]))

    def saturation(picture) -> float:
        return float((picture.max(2) - picture.min(2)).mean())

    def roughness(picture) -> float:
        grey = picture.mean(2)
        return float(np.abs(np.diff(grey, axis=1)).mean() / grey.mean())

    assert of("game", np.mean) > 1.2 * of("city", np.mean)
    assert of("game", saturation) > 2 * of("city", saturation)
    assert of("city", roughness) > 1.1 * of("game", roughness)


def test_things_stand_on_the_street_and_far_ones_are_painted_first() -> None:
    street = make_street(CITY, np.random.default_rng(1))
    distances = [thing.z for thing in street.things]
    assert distances == sorted(distances, reverse=True)
    assert min(distances) >= CITY.layout.nearest


def test_rendered_pictures_are_kept_and_a_damaged_file_is_rendered_again() -> None:
    first = RenderedPictures("game", 3, 77, (16, 32))
    (kept,) = cache_directory().glob("game-77-3-16x32-*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    again = RenderedPictures("game", 3, 77, (16, 32))
    assert np.array_equal(first[2].picture, again[2].picture)
    assert again.name(2) == "game-77-2"
    third = RenderedPictures("game", 3, 77, (16, 32), lambda _done, _all: pytest.fail("rendered"))
    assert np.array_equal(first[1].label, third[1].label)


def test_the_sheet_is_a_picture_that_other_programs_read(tmp_path) -> None:
    image = pytest.importorskip("PIL.Image") if _has_pillow() else None
    sheet = contact_sheet((16, 32), 2, 1, 2)
    data = encode(sheet)
    assert data.startswith(b"\x89PNG")
    assert sheet.shape == (64, 512, 3)
    if image is not None:
        (tmp_path / "sheet.png").write_bytes(data)
        with image.open(tmp_path / "sheet.png") as opened:
            assert np.array_equal(np.asarray(opened), sheet)


def _has_pillow() -> bool:
    import importlib.util  # noqa: PLC0415

    return importlib.util.find_spec("PIL") is not None
