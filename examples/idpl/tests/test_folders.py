"""Readers of GTA5, SYNTHIA and Cityscapes, on tiny folders of the same shape."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from idpl.classes import CITYSCAPES, IGNORE
from idpl.errors import DataError
from idpl.folders.layout import find_pairs
from idpl.folders.mapping import TABLES, UNKNOWN
from idpl.folders.pictures import FolderPictures
from idpl.folders.png16 import first_channel

SIZE = (8, 16)
IDS = {"gta5": (7, 26, 34), "cityscapes": (7, 26, 0), "synthia": (3, 8, 0)}
"""A road, a car, and what is not evaluated."""


def png(
    rows: NDArray[np.uint8], depth: int, colour: int, filters: list[int] | None = None
) -> bytes:
    """A PNG file of rows of bytes [H, W * bytes a pixel], each filtered in its own way."""
    channels = {0: 1, 2: 3}[colour]
    pixel = channels * depth // 8
    height, width = rows.shape[0], rows.shape[1] // pixel
    data = bytearray()
    padded = np.zeros((height + 1, rows.shape[1] + pixel), dtype=np.int64)
    padded[1:, pixel:] = rows
    for row in range(height):
        kind = (filters or [0] * height)[row]
        here, left = padded[row + 1, pixel:], padded[row + 1, :-pixel]
        up, corner = padded[row, pixel:], padded[row, :-pixel]
        guess = left + up - corner
        away = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)])
        paeth = np.choose(away.argmin(0), [left, up, corner])
        predicted = [np.zeros_like(here), left, up, (left + up) // 2, paeth][kind]
        data += bytes([kind]) + ((here - predicted) & 255).astype(np.uint8).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(data))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def picture_png(height: int = 16, width: int = 32) -> bytes:
    return png(np.full((height, width * 3), 90, dtype=np.uint8), 8, 2)


def ids_map(kind: str, height: int = 16, width: int = 32) -> NDArray[np.uint8]:
    road, car, other = IDS[kind]
    ids = np.full((height, width), road, dtype=np.uint8)
    ids[:, width // 2 :] = car
    ids[: height // 4] = other
    return ids


def label_png(kind: str, ids: NDArray[np.uint8]) -> bytes:
    if kind != "synthia":
        return png(ids, 8, 0)
    rows = np.zeros((*ids.shape, 6), dtype=np.uint8)
    rows[..., 1] = ids  # 16 bits, the upper byte first
    rows[..., 3] = 77  # the instance's number, in another channel
    return png(rows.reshape(ids.shape[0], -1), 16, 2, [row % 5 for row in range(ids.shape[0])])


def places(folder: Path, kind: str, name: str) -> tuple[Path, Path]:
    match kind:
        case "gta5":
            pair = (folder / "images" / f"{name}.png", folder / "labels" / f"{name}.png")
        case "synthia":
            pair = (folder / "RGB" / f"{name}.png", folder / "GT/LABELS" / f"{name}.png")
        case _:
            pair = (
                folder / f"leftImg8bit/train/ulm/{name}_leftImg8bit.png",
                folder / f"gtFine/train/ulm/{name}_gtFine_labelIds.png",
            )
    for path in pair:
        path.parent.mkdir(parents=True, exist_ok=True)
    return pair


@pytest.fixture(params=sorted(IDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, kind: str) -> Path:
    for name in ("a_1", "b_2"):
        picture, label = places(tmp_path, kind, name)
        picture.write_bytes(picture_png())
        label.write_bytes(label_png(kind, ids_map(kind)))
    return tmp_path


def opened(folder: Path, kind: str, **options) -> FolderPictures:
    return FolderPictures(folder, kind, "train", SIZE, **options)


def test_ids_become_the_19_classes_and_pictures_the_wanted_size(folder: Path, kind: str) -> None:
    found = opened(folder, kind)
    assert len(found) == 2
    sample = found[1]
    assert found.name(1).startswith("b_2")
    assert sample.picture.shape == (8, 16, 3)
    assert int(sample.picture[4, 4, 0]) == 90
    road, car = CITYSCAPES.names.index("road"), CITYSCAPES.names.index("car")
    assert np.unique(sample.label[:2]).tolist() == [IGNORE]
    assert np.unique(sample.label[2:, :8]).tolist() == [road]
    assert np.unique(sample.label[2:, 8:]).tolist() == [car]


def test_every_class_has_an_id_in_each_data_set(kind: str) -> None:
    classes = set(TABLES[kind].tolist()) - {IGNORE, UNKNOWN}
    assert classes == set(range(19))


def test_a_picture_without_labels_is_named(folder: Path, kind: str) -> None:
    picture, label = places(folder, kind, "b_2")
    label.unlink()
    with pytest.raises(DataError, match=rf"{picture.name}: no labels \(1 of 2"):
        opened(folder, kind)
    assert np.unique(opened(folder, kind, labelled=False)[1].label).tolist() == [IGNORE]


def test_labels_without_a_picture_are_named_and_left_out(folder: Path, kind: str) -> None:
    places(folder, kind, "c_3")[1].write_bytes(label_png(kind, ids_map(kind)))
    said: list[str] = []
    assert len(opened(folder, kind, say=said.append)) == 2
    assert "1 label files without picture" in said[0]
    assert "c_3" in said[0]


def test_labels_of_another_size_are_named(folder: Path, kind: str) -> None:
    places(folder, kind, "a_1")[1].write_bytes(label_png(kind, ids_map(kind, 8, 32)))
    with pytest.raises(DataError, match="labels are 32 x 8, their picture 32 x 16"):
        _ = opened(folder, kind)[0]


def test_odd_sizes_are_scaled(folder: Path, kind: str) -> None:
    picture, label = places(folder, kind, "a_1")
    picture.write_bytes(picture_png(13, 7))
    label.write_bytes(label_png(kind, ids_map(kind, 13, 7)))
    assert opened(folder, kind)[0].label.shape == SIZE


@pytest.mark.parametrize("which", [0, 1], ids=["picture", "label"])
@pytest.mark.parametrize("how", ["empty", "cut", "changed"])
def test_a_damaged_file_is_named(folder: Path, kind: str, which: int, how: str) -> None:
    path = places(folder, kind, "a_1")[which]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if how == "changed":
        data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes({"empty": b"", "cut": data[:middle], "changed": data}[how])
    with pytest.raises(DataError, match=path.name):
        _ = opened(folder, kind)[0]


def test_an_id_that_the_data_set_does_not_have_is_named(folder: Path, kind: str) -> None:
    ids = ids_map(kind)
    ids[9, 9] = 99
    places(folder, kind, "a_1")[1].write_bytes(label_png(kind, ids))
    with pytest.raises(DataError, match="label 99 is none of"):
        _ = opened(folder, kind)[0]


def test_labels_as_colours_are_refused(folder: Path, kind: str) -> None:
    places(folder, kind, "a_1")[1].write_bytes(picture_png())
    with pytest.raises(DataError, match="not of ids"):
        _ = opened(folder, kind)[0]


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match="no PNG pictures") as caught:
        find_pairs(tmp_path, kind, "train")
    assert "/" in caught.value.hint


@pytest.mark.parametrize("seed", range(5))
def test_16_bit_pngs_of_all_filters_are_read(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (12, 9 * 6), dtype=np.uint8)
    found = first_channel(png(rows, 16, 2, random.integers(0, 5, 12).tolist()))
    assert np.array_equal(found, rows[:, 1::6])


def test_any_damage_to_a_16_bit_png_is_an_error_that_is_ours() -> None:
    random = np.random.default_rng(1)
    whole = png(random.integers(0, 256, (6, 30), dtype=np.uint8), 16, 2, [0, 1, 2, 3, 4, 4])
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(int(random.integers(1, 4))):
            data[int(random.integers(len(data)))] = int(random.integers(256))
        try:
            first_channel(bytes(data[: int(random.integers(1, len(data) + 1))]))
        except DataError:
            continue
