"""Hot areas on disk: found again by the next server, replaced where they are damaged."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hot_world import DataOfLayer, data_area

from bootseer.errors import CorruptError, NotFoundError
from snapshotter.blocks.names import BlockName, LayerName
from snapshotter.layers.records import BLOCK
from snapshotter.serving.layout import LayerRecord, Layout
from snapshotter.starts.areas import Areas, Origin
from snapshotter.starts.numbers import Numbers

LAYER, OTHER = LayerName("a" * 12), LayerName("b" * 12)
DATA = data_area(40)
BLOCKS = np.array([30, 4, 5, 17], dtype=np.int64)
ORIGIN = Origin("registry/a:1", "sha256:" + "5" * 64, "", "sha256:" + "c" * 64, (LAYER,))


@dataclass
class Layer(DataOfLayer):
    """A layer that is served."""

    record: LayerRecord = field(
        default_factory=lambda: LayerRecord(
            "sha256:" + "1" * 64, "sha256:" + "2" * 64, ("a",), "", len(DATA), 1, False
        )
    )

    @property
    def size(self) -> int:
        return len(self.data)


class Layers:
    """The layers of the node."""

    async def open(self, name: LayerName) -> Layer:
        if name not in (LAYER, OTHER):
            raise NotFoundError(f"layer {name}: not on this node")
        return Layer(DATA)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    for name in (LAYER, OTHER):
        made.layer(name).mkdir(parents=True)
    made.hot.mkdir()
    return made


def server(layout: Layout) -> Areas:
    """Return the areas as a server that starts finds them."""
    return Areas(layout, Layers(), Numbers(layout.hot / "numbers"))  # type: ignore[arg-type]


async def test_an_area_and_what_it_holds_are_found_by_the_next_server(layout: Layout) -> None:
    first = server(layout)
    name = await first.create(LAYER, BLOCKS, ORIGIN)
    area = await first.open(name)
    data = DATA[30 * BLOCK : 31 * BLOCK]
    await area.put(0, data)
    await first.flush()

    second = server(layout)
    assert second.find(LAYER, ORIGIN.source) == name
    assert replace(second.origin(name), blocks="") == ORIGIN
    again = await second.open(name)
    assert again.blocks.tolist() == BLOCKS.tolist()
    assert (again.missing, await again.read(0, BLOCK)) == (3, data)
    assert await second.obtain(LAYER, BLOCKS, ORIGIN) == name


async def test_areas_are_told_apart_by_layer_and_source(layout: Layout) -> None:
    areas = server(layout)
    name = await areas.create(LAYER, BLOCKS, ORIGIN)
    assert areas.find(OTHER, ORIGIN.source) is None
    assert areas.find(LAYER, "sha256:" + "d" * 64) is None
    assert name in areas
    assert BlockName(OTHER, name.variant) not in areas


async def test_of_an_image_and_workload_the_newest_is_worth_keeping(layout: Layout) -> None:
    areas = server(layout)
    old = await areas.create(LAYER, BLOCKS, ORIGIN)
    new = await areas.create(LAYER, BLOCKS, replace(ORIGIN, source="record:1"))
    named = await areas.create(LAYER, BLOCKS, replace(ORIGIN, workload="train"))
    other = await areas.create(LAYER, BLOCKS, replace(ORIGIN, manifest_digest="sha256:" + "6" * 64))
    assert areas.newest() == {new, named, other}
    assert old in areas


DAMAGE = {
    "cut": lambda numbers: numbers[: len(numbers) // 2],
    "empty": lambda numbers: b"",
    "turned": lambda numbers: numbers[::-1],
    "longer": lambda numbers: numbers * 2,
    "past the end": lambda numbers: b"\xff" * len(numbers),
    "two exchanged": lambda numbers: numbers[8:16] + numbers[:8] + numbers[16:],
}


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_list_of_blocks_is_never_used_and_the_area_made_anew(
    layout: Layout, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = server(layout)
    name = await first.create(LAYER, BLOCKS, ORIGIN)
    path = layout.variant(LAYER, name.variant) / "blocks"
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    areas = server(layout)
    with pytest.raises(CorruptError):
        await areas.open(name)
    made = await areas.obtain(LAYER, BLOCKS, ORIGIN)
    assert made != name
    assert name not in areas
    assert [record.message for record in caplog.records] == ["hot.area_replaced"]
    assert await (await areas.open(made)).read(0, BLOCK) == DATA[30 * BLOCK : 31 * BLOCK]


async def test_an_area_whose_description_is_garbage_is_none_and_its_number_not_given_out(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    first = server(layout)
    name = await first.create(LAYER, BLOCKS, ORIGIN)
    (layout.variant(LAYER, name.variant) / "area.json").write_bytes(b"{]")
    (layout.hot / "numbers").unlink()
    areas = server(layout)
    assert [record.message for record in caplog.records] == ["hot.area_ignored"]
    with pytest.raises(NotFoundError):
        await areas.open(name)
    assert await areas.obtain(LAYER, BLOCKS, ORIGIN) != name


async def test_a_torn_presence_is_as_good_as_none(layout: Layout) -> None:
    first = server(layout)
    name = await first.create(LAYER, BLOCKS, ORIGIN)
    await (await first.open(name)).put(0, DATA[30 * BLOCK : 31 * BLOCK])
    await first.flush()
    path = layout.variant(LAYER, name.variant) / "present"
    path.write_bytes(path.read_bytes()[:-1])
    area = await server(layout).open(name)
    assert area.missing == 4
    assert (
        await area.read(0, 2 * BLOCK) == DATA[30 * BLOCK : 31 * BLOCK] + DATA[4 * BLOCK : 5 * BLOCK]
    )


async def test_a_forgotten_area_is_closed_and_gone(layout: Layout) -> None:
    areas = server(layout)
    name = await areas.create(LAYER, BLOCKS, ORIGIN)
    area = await areas.open(name)
    await areas.forget(name)
    assert name not in areas
    with pytest.raises(NotFoundError):
        await areas.open(name)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await area.put(0, DATA[:BLOCK])


async def test_a_layer_that_is_not_here_gets_no_area(layout: Layout) -> None:
    areas = server(layout)
    with pytest.raises(NotFoundError):
        await areas.obtain(LayerName("c" * 12), BLOCKS, ORIGIN)
    assert areas.newest() == set()
