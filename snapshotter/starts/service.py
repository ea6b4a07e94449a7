"""Containers' starts: which mounts a container gets, what is recorded of it, what becomes of that.

Wraps the layer provider of the snapshot store: layers pass through, and with the first layer of an
image the search for its hot blocks begins.

Race-free: the event loop's thread only; what may happen twice (two containers of one image) is
decided without an await between looking and changing (`HotImages.get`, `Recordings.begin`).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bootseer.errors import BootseerError, UsageError
from bootseer.events.event import Value
from bootseer.events.stages import Stages
from snapshotter.blocks.names import Role
from snapshotter.chunks.reads import ReadCounters
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey
from snapshotter.serving.files import LayerFiles
from snapshotter.serving.layout import MountId
from snapshotter.serving.provider import Provider
from snapshotter.snapshots.ports import LayerMount, LayerRequest, StartRequest
from snapshotter.starts.area import FeedCounters, HotArea
from snapshotter.starts.areas import Areas
from snapshotter.starts.course import Course, StartPolicy, choose
from snapshotter.starts.finishing import Finishing, Outcome
from snapshotter.starts.hotimage import HotImage, hot_layer
from snapshotter.starts.hotimages import HotImages
from snapshotter.starts.labels import record_policy_of, workload_of
from snapshotter.starts.packing import Packing
from snapshotter.starts.recordings import Recordings, WatchedLayer
from snapshotter.starts.usage import Usage
from snapshotter.tally import add
from snapshotter.watching.watcher import Watcher

log = logging.getLogger(__name__)

_ROUND_S: Final = 1.0
_CALM_S: Final = 3.0
"""Hot areas are synced once nothing came for so long: the disk is for the start until then."""


@dataclass(frozen=True, slots=True)
class StartRules:
    """How long things may take, in seconds."""

    policy: StartPolicy
    patience: float = 2.0
    """Until a container starts on a layer as it was pulled, if its hot layout is not ready."""
    calm: float = 20.0
    """After a start, until its mounts get the usual read-ahead."""
    wait_bytes: int = 0
    """Of hot blocks that have to be there before a container gets its mounts."""
    wait_most: float = 10.0
    """How long that may take."""


@dataclass(slots=True)
class StartCounters:
    """What starts came to."""

    courses: dict[Course, int] = field(default_factory=lambda: dict.fromkeys(Course, 0))
    """Containers that started, by how."""
    records: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    """Recordings that are over, by what became of them."""


@dataclass(frozen=True, slots=True)
class HotNumbers:
    """What there is of hot blocks on this node. Sizes in bytes."""

    recordings: int
    """Starts being recorded (a count)."""
    prefetches: int
    """Images being prefetched (a count)."""
    size: int
    """Of all open hot areas."""
    missing: int
    """Of these, what is not here."""
    measured: int
    """Of the open hot areas whose first start is over, and of which it is known what it used."""
    unused: int
    """Of these, what it did not read."""


class Starts:
    """The `LayerProvider` of the daemon, with what makes starts fast."""

    def __init__(
        self,
        provider: Provider,
        files: LayerFiles,
        images: HotImages,
        areas: Areas,
        recordings: Recordings,
        watcher: Watcher,
        finishing: Finishing,
        packing: Packing | None,
        usage: Usage,
        rules: StartRules,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        stages: Stages,
    ) -> None:
        """Without `packing` no packs are made of records; `stages` hears of containers' starts."""
        self._stages = stages
        self._provider = provider
        self._files = files
        self._images = images
        self._areas = areas
        self._recordings = recordings
        self._watcher = watcher
        self._rules = rules
        self._spawn = spawn
        self._packing = packing
        self._usage = usage
        self._calm_at: list[tuple[float, MountId]] = []
        self._finishing = finishing
        self.counters = StartCounters(records=finishing.outcomes)

    def expect(self, image: ImageKey) -> None:
        """Begin to look for the hot blocks of an image that is about to be made present."""
        if image.reference and image.manifest_digest and self._rules.policy.prefetch:
            self._images.get(image)

    async def provide(self, request: LayerRequest) -> LayerMount | None:
        """See `LayerProvider`."""
        self.expect(ImageKey(request.image_ref, request.manifest_digest))
        about = {"image": request.image_ref, "layer": request.layer_digest}
        with self._stages.stage("image.layer", **about) as found:
            mount = await self._provider.provide(request)
            found["lazy"] = mount is not None
            return mount

    def path(self, layer: str) -> Path:
        """See `LayerProvider`."""
        return self._provider.path(layer)

    async def ensure(self, layer: str) -> None:
        """See `LayerProvider`."""
        await self._provider.ensure(layer)
        if self._rules.wait_bytes and MountId.parse(layer).variant.role is Role.HOT:
            await self._wait_for_bytes()

    def withdraw(self, stand_in: str) -> None:
        """See `LayerProvider`: nothing was recorded that is worth a record."""
        variant = MountId.parse(stand_in).variant
        if variant.role is Role.RECORD:
            self._recordings.abandon(variant.number)

    async def release(self, layer: str) -> None:
        """See `LayerProvider`: with a recording's mount, the container is gone."""
        variant = MountId.parse(layer).variant
        if variant.role is Role.RECORD:
            await self._watcher.catch_up()
            self._recordings.stop(variant.number)
        await self._provider.release(layer)

    async def stand_ins(self, start: StartRequest) -> Mapping[str, str]:
        """See `LayerProvider`."""
        with self._stages.stage("image.start", image=start.image_ref) as found:
            return await self._stand_ins(start, found)

    async def _stand_ins(self, start: StartRequest, found: dict[str, Value]) -> Mapping[str, str]:
        image = ImageKey(start.image_ref, start.manifest_digest)
        if not (image.reference and image.manifest_digest):
            self.counters.courses[Course.NATURAL] += 1
            return {}
        workload, policy = self._wishes(start)
        if policy.record == "never" and not policy.prefetch:
            self.counters.courses[Course.NATURAL] += 1
            return {}
        hot = self._images.get(image, workload)
        deadline = asyncio.get_running_loop().time() + self._rules.patience
        settled = await _until(hot.settled, deadline)
        recording = self._recordings.is_recorded(image, workload)
        recording |= policy.record == "auto" and self._finishing.is_tiny(image, workload)
        course = choose(policy, hot.known if settled else None, recording=recording)
        mounts = tuple(map(MountId.parse, start.layers))
        if course is Course.RECORD:
            chosen = await self._record(image, workload, mounts)
        else:
            chosen = await self._hot(hot, mounts, deadline)
        usable = await self._mounted(chosen)
        self.counters.courses[course if usable else Course.NATURAL] += 1
        fields: dict[str, Value] = {
            "image": image.reference,
            "workload": workload,
            "course": course.value,
            "layers": len(mounts),
            "stand_ins": len(usable),
        }
        log.info("start.prepared", extra={"fields": fields})
        found |= {name: fields[name] for name in ("workload", "course", "layers", "stand_ins")}
        return usable

    def _wishes(self, start: StartRequest) -> tuple[str, StartPolicy]:
        """Return the workload's name and what is to be done; labels that make no sense are not."""
        workload, policy = "", self._rules.policy
        try:
            workload = workload_of(start.labels)
            policy = replace(policy, record=record_policy_of(start.labels, policy.record))
        except UsageError as error:
            fields = {"image": start.image_ref, "reason": error.message}
            log.warning("start.label_ignored", extra={"fields": fields})
        return workload, policy

    async def _record(
        self, image: ImageKey, workload: str, mounts: Sequence[MountId]
    ) -> dict[MountId, MountId]:
        watched = []
        for mount in dict.fromkeys(mounts):
            layer = self._files.opened().get(mount.name)
            if layer is not None and layer.record.index_file_digest:
                watched.append(WatchedLayer(str(mount), mount.name, hot_layer(layer.record)))
        if not watched:
            return {}
        try:
            recording = self._recordings.begin(image, workload, watched)
        except OSError as error:  # a full disk, say: no reason not to start
            reason = {"image": image.reference, "reason": str(error)}
            log.warning("hot.not_recorded", extra={"fields": reason})
            return {}
        if await self._watcher.begin():
            self._recordings.watch(recording)
        fields = {
            "image": image.reference,
            "workload": workload,
            "number": recording.number,
            "watched": recording.watched,
        }
        log.info("hot.recording", extra={"fields": fields})
        names = {one.name for one in watched}
        return {
            mount: MountId(mount.name, mount.bottom, recording.variant)
            for mount in mounts
            if mount.name in names
        }

    async def _hot(
        self, hot: HotImage, mounts: Sequence[MountId], deadline: float
    ) -> dict[MountId, MountId]:
        chosen = {}
        for mount in mounts:
            ready = hot.ready.get(mount.name)
            if ready is not None and await _until(ready, deadline) and mount.name in hot.areas:
                variant = hot.areas[mount.name].variant
                chosen[mount] = MountId(mount.name, mount.bottom, variant)
        return chosen

    async def _mounted(self, chosen: Mapping[MountId, MountId]) -> dict[str, str]:
        """Mount stand-ins; leave out what cannot be mounted."""

        async def one(mount: MountId) -> bool:
            try:
                await self._provider.ensure(str(mount))
            except (BootseerError, OSError) as error:
                fields = {"mount": str(mount), "reason": str(error)}
                log.warning("start.stand_in_failed", extra={"fields": fields})
                if mount.variant.role is Role.HOT:
                    self._images.mend(mount)
                return False
            return True

        done = await asyncio.gather(*(one(mount) for mount in chosen.values()))
        now = asyncio.get_running_loop().time()
        self._usage.started(chosen.values(), now)
        calm = now + self._rules.calm
        self._calm_at += [
            (calm, mount) for mount in chosen.values() if mount.variant.role is Role.HOT
        ]
        pairs = zip(chosen.items(), done, strict=True)
        return {str(mount): str(other) for (mount, other), usable in pairs if usable}

    async def _wait_for_bytes(self) -> None:
        """Hold a container until the first hot blocks are in, not for long."""
        deadline = asyncio.get_running_loop().time() + self._rules.wait_most
        feeds = [hot.feed for hot in self._images.all() if hot.going_on and hot.feed]
        for feed in feeds:
            while feed.counters.brought < self._rules.wait_bytes and not feed.over:
                if asyncio.get_running_loop().time() > deadline:
                    return
                await asyncio.sleep(0.02)

    async def restore(self, used: set[str]) -> None:
        """Go on filling the hot areas that containers use, after a restart."""
        for layer in used:
            mount = MountId.parse(layer)
            if mount.variant.role is Role.HOT:
                await self._resume(mount)

    async def _resume(self, mount: MountId) -> None:
        name = mount.block
        try:
            if not (await self._areas.open(name)).missing:
                return
            origin = self._areas.origin(name)
        except BootseerError as error:
            fields = {"mount": str(mount), "reason": error.message}
            log.warning("hot.not_resumed", extra={"fields": fields})
            return
        self._images.get(ImageKey(origin.reference, origin.manifest_digest), origin.workload)

    async def run(self) -> None:
        """Look after recordings and hot areas until cancelled."""
        while True:
            await asyncio.sleep(_ROUND_S)
            try:
                await self._round()
            except (BootseerError, OSError) as error:
                log.warning("start.upkeep_failed", extra={"fields": {"reason": str(error)}})
            except Exception:
                log.exception("start.bug")

    async def close(self) -> None:
        """Keep what was recorded and brought so far: the next server goes on with it."""
        await self._watcher.close()
        self._recordings.persist(now=True)
        await self._areas.flush()
        self._images.close()

    async def _round(self) -> None:
        self._recordings.persist()
        self._images.stop_useless()
        self._finishing.begin()
        now = asyncio.get_running_loop().time()
        due = [mount for at, mount in self._calm_at if at <= now]
        self._calm_at = [pair for pair in self._calm_at if pair[0] > now]
        for mount in due:
            await self._provider.mounted.raise_read_ahead(mount)
        await self._areas.flush(calm=_CALM_S)
        self._spawn(self._usage.measure_due(now))
        if self._packing:
            self._spawn(self._pack(self._packing))

    async def _pack(self, packing: Packing) -> None:
        image = await packing.make_if_due()
        if image is not None:
            self._images.forget(image)

    def is_prefetching(self) -> bool:
        """Say whether hot blocks are being fetched."""
        return any(hot.going_on for hot in self._images.all())

    @property
    def reads(self) -> ReadCounters:
        """Reads of hot areas so far."""
        return self._areas.reads.total()

    @property
    def feeds(self) -> FeedCounters:
        """What all feeds did so far."""
        return self._images.feeds.total()

    def numbers(self) -> HotNumbers:
        """Return what there is of hot blocks."""
        areas = self._areas.opened().values()
        measured = [(area.size, area.unused) for area in areas if area.unused is not None]
        return HotNumbers(
            recordings=self._recordings.going_on,
            prefetches=sum(hot.going_on for hot in self._images.all()),
            size=sum(area.size for area in areas),
            missing=sum(area.missing for area in areas) * BLOCK,
            measured=sum(size for size, _ in measured),
            unused=sum(unused for _, unused in measured) * BLOCK,
        )

    def describe(self) -> dict[str, Any]:
        """Return what goes on, for people and tools."""
        return {
            "images": [self._describe(hot) for hot in self._images.all()],
            "recordings": self._recordings.describe(),
            "recorded": self._finishing.describe(),
        }

    def _describe(self, hot: HotImage) -> dict[str, Any]:
        opened = self._areas.opened()
        areas = [opened[name] for name in hot.areas.values() if name in opened]
        reads = ReadCounters()
        for area in areas:
            add(reads, area.reads)
        return {
            "image": hot.image.reference,
            "manifest": hot.image.manifest_digest,
            "workload": hot.workload,
            "course": choose(self._rules.policy, hot.known, recording=False),
            "source": hot.source,
            "going_on": hot.going_on,
            "failure": hot.failure,
            "blocks": sum(len(area.blocks) for area in areas),
            "blocks_missing": sum(area.missing for area in areas),
            "blocks_unused": _unused(areas),
            "reads": asdict(reads),
            "feed": asdict(hot.feed.counters) if hot.feed else None,
        }


def _unused(areas: Sequence[HotArea]) -> int | None:
    """Return how many blocks the first start on these did not read; None if that is not known."""
    known = [area.unused for area in areas if area.unused is not None]
    return sum(known) if known and len(known) == len(areas) else None


async def _until(event: asyncio.Event, deadline: float) -> bool:
    """Wait for an event, not beyond a deadline of the loop's clock; say whether it came."""
    try:
        async with asyncio.timeout_at(deadline):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
