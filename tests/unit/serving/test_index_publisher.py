"""When indexes that were made while unpacking are published, and when they are given up."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootseer.digests import digest_of
from bootseer.errors import BootseerError, RemoteError
from snapshotter.ports import ImageKey, MadeIndex
from snapshotter.serving import publisher
from snapshotter.serving.layout import RECORD, LayerRecord, Layout
from snapshotter.serving.publisher import Publisher
from snapshotter.serving.unpublished import keep, waiting

IMAGE = ImageKey("r.io/a:1", digest_of(b"manifest"))
OTHER = ImageKey("r.io/b:1", digest_of(b"another"))


@dataclass
class FakePublishing:
    """Takes what is published; fails on demand."""

    lacks: dict[ImageKey, set[str]] = field(default_factory=dict)
    published: list[tuple[ImageKey, list[str]]] = field(default_factory=list)
    error: BootseerError | None = None

    async def lacking(self, image: ImageKey) -> frozenset[str]:
        return frozenset(self.lacks[image])

    async def publish(self, image: ImageKey, made: Sequence[MadeIndex]) -> str:
        if self.error:
            raise self.error
        assert all(one.windows.read_bytes() == b"windows" for one in made)
        self.published.append((image, sorted(one.layer_digest for one in made)))
        return digest_of(b"artifact")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.layers.mkdir()
    return made


def unpacked(layout: Layout, image: ImageKey, layer: str, *, directory: str = "") -> str:
    """Leave what unpacking a layer leaves."""
    digest = digest_of(layer.encode())
    place = layout.layers / (directory or f"l{layer}")
    place.mkdir()
    record = LayerRecord(digest, "local", (image.reference,), "", 1, 1, two_faced=False)
    (place / RECORD).write_bytes(record.encode())
    keep(place, image, b"windows", random_access=True)
    return digest


async def settled(service: Publisher, layout: Layout) -> None:
    """Run the service until nothing waits, or for some rounds."""
    task = asyncio.create_task(service.run())
    for _ in range(50):
        service.look()
        await asyncio.sleep(0.005)
        if not list(waiting(layout)):
            break
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_all_layers_of_an_image_are_published_together(layout: Layout) -> None:
    publishing = FakePublishing()
    first = unpacked(layout, IMAGE, "1")
    second = digest_of(b"2")
    publishing.lacks = {IMAGE: {first, second}, OTHER: set()}
    service = Publisher(layout, publishing)
    await settled(service, layout)
    assert publishing.published == [], "one layer is still to come"
    unpacked(layout, IMAGE, "2")
    alone = unpacked(layout, OTHER, "3")
    publishing.lacks[OTHER] = {alone}
    await settled(service, layout)
    assert sorted(publishing.published, key=str) == sorted(
        [(IMAGE, sorted([first, second])), (OTHER, [alone])], key=str
    )
    assert list(waiting(layout)) == []


async def test_what_waited_when_the_server_died_is_published_by_the_next(layout: Layout) -> None:
    digest = unpacked(layout, IMAGE, "1")
    publishing = FakePublishing({IMAGE: {digest}})
    await settled(Publisher(layout, publishing), layout)
    assert publishing.published == [(IMAGE, [digest])]


async def test_a_layer_that_never_comes_is_not_waited_for_for_ever(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_QUIET_S", 0.0)
    digest = unpacked(layout, IMAGE, "1")
    publishing = FakePublishing({IMAGE: {digest, digest_of(b"2")}})
    await settled(Publisher(layout, publishing), layout)
    assert publishing.published == [(IMAGE, [digest])]


async def test_a_registry_that_refuses_is_asked_once_and_that_is_said(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    publishing = FakePublishing({IMAGE: set()}, error=RemoteError("no right to push"))
    unpacked(layout, IMAGE, "1")
    await settled(Publisher(layout, publishing), layout)
    assert list(waiting(layout)) == []
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["index.not_published"]


async def test_a_registry_that_is_away_is_asked_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_FIRST_PAUSE_S", 0.0)
    digest = unpacked(layout, IMAGE, "1")
    publishing = FakePublishing({IMAGE: set()}, error=RemoteError("away", temporary=True))
    service = Publisher(layout, publishing)
    task = asyncio.create_task(service.run())
    await asyncio.sleep(0.02)
    publishing.error = None
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await settled(service, layout)
    assert publishing.published == [(IMAGE, [digest])]


def test_what_is_damaged_or_half_made_is_passed_over(layout: Layout) -> None:
    unpacked(layout, IMAGE, "1")
    (layout.layers / "l1/unpublished/image.json").write_text('{"reference": 5}')
    unpacked(layout, IMAGE, "2")
    (layout.layers / "l2" / RECORD).unlink()
    assert list(waiting(layout)) == []
