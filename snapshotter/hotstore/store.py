"""The `HotStore`: which records and packs count. Where the artifacts are, a `HotPlace` knows.

Concurrency: nothing is kept between calls. Two that publish at once publish different artifacts, or
the same one; that none is lost is the place's promise.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bootseer.digests import digest_of, digest_of_file
from bootseer.together import together
from snapshotter.hot.artifact import HotArtifact, HotKind
from snapshotter.hot.record import HotLayer, MergedRecord, Record
from snapshotter.hot.record_format import encode
from snapshotter.hotstore.checking import AT_ONCE, gather_records
from snapshotter.hotstore.place import HotPlace
from snapshotter.ports import ImageKey, MirroredSource, PublishedPack, StoredHot
from snapshotter.registry.descriptors import Descriptor

log = logging.getLogger(__name__)

_NAMES: Final[Mapping[HotKind, Literal["records", "pack"]]] = {
    HotKind.RECORDS: "records",
    HotKind.PACK: "pack",
}
_LATEST: Final = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class ArtifactHotStore:
    """The `snapshotter.ports.HotStore` at a place that keeps artifacts."""

    place: HotPlace

    async def records(self, image: ImageKey, workload: str) -> Sequence[Record]:
        """Return the valid records of an image and workload; see `HotStore.records`."""
        found = await self._artifacts(image, HotKind.RECORDS, workload)
        blobs = {blob.digest: blob for _, artifact in found for blob in artifact.blobs}

        async def fetch(digest: str) -> bytes:
            return await self.place.blob(image, blobs[digest])

        return await gather_records(tuple(blobs), fetch, image, workload, self.place.limits)

    async def pack(self, image: ImageKey, workload: str) -> PublishedPack | None:
        """Return the pack of the most runs, of these the newest; see `HotStore.pack`."""
        found = await self._artifacts(image, HotKind.PACK, workload)
        if not found:
            return None
        best = max((one for _, one in found), key=lambda one: (one.runs, one.created))
        blob = best.blobs[0]
        return PublishedPack(blob.digest, blob.size, best.runs, best.created, best.indexes)

    async def stored(self, image: ImageKey) -> Sequence[StoredHot]:
        """Return what there is of an image; see `HotStore.stored`."""
        found = [
            StoredHot(
                kind=name,
                digest=entry.digest,
                size=sum(blob.size for blob in one.blobs),
                workload=one.workload,
                runs=one.runs,
                created=one.created,
            )
            for kind, name in _NAMES.items()
            for entry, one in await self._artifacts(image, kind, None)
        ]
        return sorted(found, key=lambda one: one.created, reverse=True)

    async def blobs(self, image: ImageKey) -> MirroredSource:
        """Return where a pack is read from."""
        return self.place.blobs(image)

    async def publish_record(self, image: ImageKey, record: Record) -> None:
        """Add a record as an artifact of its own. One that is published again is the same one.

        Where there are as many as anybody reads, nothing is added: lists have an end.
        """
        listed = await self.place.list(image, HotKind.RECORDS, record.workload)
        if len(listed) >= self.place.limits.hot_artifacts:
            fields = {"image": image.manifest_digest, "workload": record.workload}
            log.info("hot.record.enough", extra={"fields": fields})
            return
        data = await asyncio.to_thread(encode, record)
        blob = Descriptor(HotKind.RECORDS.blob_type, digest_of(data), len(data))
        await self.place.put_blob(image, data, blob.digest)
        artifact = HotArtifact(
            kind=HotKind.RECORDS,
            subject=await self.place.subject(image),
            created=dt.datetime.fromtimestamp(min(record.created, _LATEST.timestamp()), dt.UTC),
            workload=record.workload,
            runs=1,
            indexes=_indexes(record.layers),
            blobs=(blob,),
        )
        await self._publish(image, artifact)

    async def publish_pack(self, image: ImageKey, merged: MergedRecord, pack: Path) -> None:
        """Add the pack that was made of these runs; the file is sent while it is read."""
        digest = await asyncio.to_thread(digest_of_file, pack)
        blob = Descriptor(HotKind.PACK.blob_type, digest, pack.stat().st_size)
        await self.place.put_blob(image, pack, digest)
        artifact = HotArtifact(
            kind=HotKind.PACK,
            subject=await self.place.subject(image),
            created=dt.datetime.now(dt.UTC),
            workload=merged.workload,
            runs=merged.runs,
            indexes=_indexes(merged.layers),
            blobs=(blob,),
        )
        await self._publish(image, artifact)

    async def _artifacts(
        self, image: ImageKey, kind: HotKind, workload: str | None
    ) -> list[tuple[Descriptor, HotArtifact]]:
        """Return the artifacts of a workload (None: of all), as many as are looked at."""
        listed = await self.place.list(image, kind, workload)
        some = listed[: self.place.limits.hot_artifacts]

        async def one(entry: Descriptor) -> HotArtifact | None:
            return await self.place.artifact(image, kind, entry)

        found = zip(some, await together(one, some, AT_ONCE), strict=True)
        return [
            (entry, one)
            for entry, one in found
            if one is not None and workload in {None, one.workload}
        ]

    async def _publish(self, image: ImageKey, artifact: HotArtifact) -> None:
        digest = await self.place.publish(image, artifact)
        fields = {
            "image": image.manifest_digest,
            "artifact": digest,
            "kind": _NAMES[artifact.kind],
            "workload": artifact.workload,
            "runs": artifact.runs,
        }
        log.info("hot.published", extra={"fields": fields})


def _indexes(layers: Sequence[HotLayer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer.index_digest for layer in layers))
