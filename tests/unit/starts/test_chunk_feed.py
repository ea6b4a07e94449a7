"""Hot blocks that are brought chunk by chunk, and read where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from snapshotter.chunks.fetching import Purpose
from snapshotter.hot.order import FetchRun
from snapshotter.layers.records import BLOCK
from snapshotter.starts.chunkfeed import ChunkFeed, Source

CHUNK = 4 * BLOCK


class Chunks:
    """Chunks of four blocks."""

    def data(self, chunk: int) -> tuple[int, int]:
        return chunk * CHUNK, (chunk + 1) * CHUNK


@dataclass
class Reader:
    """Notes which chunks were brought."""

    brought: list[int] = field(default_factory=list)
    chunks: Chunks = field(default_factory=Chunks)

    async def prefetch(self, low: int, high: int, purpose: Purpose = Purpose.PREFETCH) -> None:
        self.brought += range(low, high)


async def kept_of(spans: Sequence[tuple[int, int]], order: list[FetchRun]) -> list[tuple[int, int]]:
    """Return what is put into the page cache: blocks `(first, end)`, once their chunks are here."""
    reader, kept = Reader(), []

    def keep(offset: int, length: int) -> None:
        first, end = offset // BLOCK, (offset + length) // BLOCK
        assert set(range(first // 4, (end + 3) // 4)) <= set(reader.brought)
        kept.append((first, end))

    source = Source(reader, None, spans, keep)  # type: ignore[arg-type]
    await ChunkFeed({0: source}, order).run()
    assert sorted(reader.brought) == sorted(c for run in order for c in range(run.low, run.high))
    return kept


async def test_hot_blocks_are_put_into_the_page_cache_when_their_chunks_have_come() -> None:
    order = [FetchRun(0, 2, 3), FetchRun(0, 0, 2)]
    assert await kept_of([(1, 2), (3, 10), (11, 12)], order) == [
        *((8, 10), (11, 12)),
        *((1, 2), (3, 8)),
    ]


async def test_nothing_else_of_their_chunks_is() -> None:
    assert await kept_of([(0, 1), (40, 50)], [FetchRun(0, 1, 3)]) == []
