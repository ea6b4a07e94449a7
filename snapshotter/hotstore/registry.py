"""Hot records and packs next to their image in its registry: artifacts whose subject it is.

Concurrency: nothing is kept between calls. Two that publish at once push different artifacts; where
these are listed by a tag, `Referrers.announce` sees to it that no entry is lost.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bootseer.together import together
from snapshotter.hot.artifact import (
    INDEXES,
    HotArtifact,
    HotKind,
    annotations,
    build,
    may_be_of,
    parse,
)
from snapshotter.hot.record import HotLayer, MergedRecord, Record
from snapshotter.hot.record_format import encode
from snapshotter.hotstore.checking import AT_ONCE, gather_records
from snapshotter.images.referring import Subject
from snapshotter.ports import BlobSource, ImageKey, PublishedPack, StoredHot
from snapshotter.registry.client import RegistryClient
from snapshotter.registry.descriptors import Descriptor
from snapshotter.registry.digests import digest_of, digest_of_file
from snapshotter.registry.reference import parse_reference
from snapshotter.registry.repository import RepositoryBlobs

log = logging.getLogger(__name__)

_NAMES: Final[Mapping[HotKind, Literal["records", "pack"]]] = {
    HotKind.RECORDS: "records",
    HotKind.PACK: "pack",
}
_LATEST: Final = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class RegistryHotStore:
    """The `snapshotter.ports.HotStore` in the repository of each image."""

    client: RegistryClient

    async def records(self, image: ImageKey, workload: str) -> Sequence[Record]:
        """Return all valid records of an image and workload; see `HotStore.records`."""
        artifacts = await self._artifacts(image, HotKind.RECORDS, workload)
        blobs = {blob.digest: blob for artifact in artifacts for blob in artifact.blobs}
        reference = parse_reference(image.reference)

        async def fetch(digest: str) -> bytes:
            return await self.client.blobs.get(reference, digest, blobs[digest].size)

        limits = self.client.settings.limits
        return await gather_records(tuple(blobs), fetch, image, workload, limits)

    async def pack(self, image: ImageKey, workload: str) -> PublishedPack | None:
        """Return the pack of the most runs, of these the newest; see `HotStore.pack`."""
        artifacts = await self._artifacts(image, HotKind.PACK, workload)
        if not artifacts:
            return None
        best = max(artifacts, key=lambda one: (one.runs, one.created))
        blob = best.blobs[0]
        return PublishedPack(blob.digest, blob.size, best.runs, best.created, best.indexes)

    async def stored(self, image: ImageKey) -> Sequence[StoredHot]:
        """Return what there is of an image; see `HotStore.stored`."""
        found = []
        for kind, name in _NAMES.items():
            listed = await self._subject(image).list(kind)
            found += [
                StoredHot(
                    kind=name,
                    digest=entry.digest,
                    size=sum(blob.size for blob in one.blobs),
                    workload=one.workload,
                    runs=one.runs,
                    created=one.created,
                )
                for entry, one in await self._fetched(image, kind, listed)
            ]
        return sorted(found, key=lambda one: one.created, reverse=True)

    def blobs(self, image: ImageKey) -> BlobSource:
        """Return the blobs of the image's repository."""
        return RepositoryBlobs(self.client, parse_reference(image.reference))

    async def publish_record(self, image: ImageKey, record: Record) -> None:
        """Add a record as an artifact of its own. One that is published again is the same one.

        Where there are as many as anybody reads, nothing is added: lists have an end.
        """
        most = self.client.settings.limits.hot_artifacts
        if len(await self._listed(image, HotKind.RECORDS, record.workload)) >= most:
            fields = {"image": image.manifest_digest, "workload": record.workload}
            log.info("hot.record.enough", extra={"fields": fields})
            return
        data = await asyncio.to_thread(encode, record)
        blob = Descriptor(HotKind.RECORDS.blob_type, digest_of(data), len(data))
        await self.client.uploads.put(parse_reference(image.reference), data, blob.digest)
        created = dt.datetime.fromtimestamp(min(record.created, _LATEST.timestamp()), dt.UTC)
        artifact = HotArtifact(
            kind=HotKind.RECORDS,
            subject=await self._descriptor(image),
            created=created,
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
        await self.client.uploads.put_file(parse_reference(image.reference), pack, digest)
        artifact = HotArtifact(
            kind=HotKind.PACK,
            subject=await self._descriptor(image),
            created=dt.datetime.now(dt.UTC),
            workload=merged.workload,
            runs=merged.runs,
            indexes=_indexes(merged.layers),
            blobs=(blob,),
        )
        await self._publish(image, artifact)

    async def _artifacts(self, image: ImageKey, kind: HotKind, workload: str) -> list[HotArtifact]:
        """Return the artifacts of a workload, newest first as far as their list says."""
        found = await self._fetched(image, kind, await self._listed(image, kind, workload))
        return [one for _, one in found if one.workload == workload]

    async def _fetched(
        self, image: ImageKey, kind: HotKind, listed: Sequence[Descriptor]
    ) -> list[tuple[Descriptor, HotArtifact]]:
        """Return listed artifacts that can be used, as many as are looked at."""
        subject, limits = self._subject(image), self.client.settings.limits
        some = listed[: limits.hot_artifacts]

        async def one(entry: Descriptor) -> HotArtifact | None:
            return await subject.fetch(
                entry, lambda raw: parse(raw, kind, image.manifest_digest, limits)
            )

        found = await together(one, some, AT_ONCE)
        return [(entry, one) for entry, one in zip(some, found, strict=True) if one is not None]

    async def _listed(self, image: ImageKey, kind: HotKind, workload: str) -> list[Descriptor]:
        """Return what the list of referrers says may be of a workload, newest first."""
        listed = await self._subject(image).list(kind)
        return [one for one in listed if may_be_of(one, workload)]

    async def _publish(self, image: ImageKey, artifact: HotArtifact) -> None:
        chosen_by = {name: text for name, text in annotations(artifact).items() if name != INDEXES}
        published = await self._subject(image).publish(artifact.kind, build(artifact), chosen_by)
        fields = {
            "image": image.manifest_digest,
            "artifact": published.digest,
            "kind": artifact.kind.name.lower(),
            "workload": artifact.workload,
            "runs": artifact.runs,
        }
        log.info("hot.published", extra={"fields": fields})

    async def _descriptor(self, image: ImageKey) -> Descriptor:
        """Return the descriptor of the image's manifest, which the store's own records lack."""
        reference = parse_reference(image.reference)
        raw = await self.client.manifests.get(reference, image.manifest_digest)
        return Descriptor(raw.media_type, raw.digest, len(raw.data))

    def _subject(self, image: ImageKey) -> Subject:
        reference = parse_reference(image.reference)
        return Subject(self.client, reference, image.manifest_digest, "hot")


def _indexes(layers: Sequence[HotLayer]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer.index_digest for layer in layers))
