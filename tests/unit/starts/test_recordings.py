"""Whose touches are recorded, when that is over, and how a new server goes on with it."""

import json
from pathlib import Path

import pytest

from snapshotter.blocks.names import BlockName, LayerName, Role, Variant
from snapshotter.hot.record import Ended, HotLayer
from snapshotter.hot.recorder import RecordingRules
from snapshotter.layers.records import BLOCK
from snapshotter.ports import ImageKey
from snapshotter.starts.numbers import Numbers
from snapshotter.starts.recordings import Recording, Recordings, WatchedLayer

IMAGE = ImageKey("registry/a:1", "sha256:" + "5" * 64)
RULES = RecordingRules(window=60.0, quiet=5.0, patience=10.0)


def layer(number: int) -> WatchedLayer:
    name = LayerName(f"{number:012x}")
    made = HotLayer(f"sha256:{number:064x}", f"sha256:{number + 100:064x}", 50 * BLOCK)
    return WatchedLayer(f"{name}.b", name, made)


LAYERS = (layer(1), layer(2))


class Node:
    """Recordings on disk, and the servers that come one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.recordings = self.serve()

    def serve(self) -> Recordings:
        (self.root / "hot").mkdir(exist_ok=True)
        numbers = Numbers(self.root / "hot/numbers")
        self.recordings = Recordings(self.root / "hot/recordings", numbers, RULES, lambda: self.now)
        return self.recordings

    def begin(self, workload: str = "") -> Recording:
        return self.recordings.begin(IMAGE, workload, LAYERS)

    def touch(self, recording: Recording, layer: int, block: int) -> None:
        name = BlockName(LAYERS[layer].name, recording.variant)
        self.recordings.touch(name, block * BLOCK, BLOCK)

    def blocks(self, recording: Recording) -> list[tuple[int, int, int]]:
        ranges = self.recordings.record(recording).ranges
        columns = (ranges.layer.tolist(), ranges.first.tolist(), ranges.count.tolist())
        return list(zip(*columns, strict=True))

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.root / "hot/recordings").iterdir())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_touches_go_to_the_recording_whose_block_file_was_read(node: Node) -> None:
    first, second = node.begin(), node.begin("train")
    node.touch(first, 0, 3)
    node.touch(second, 1, 7)
    assert node.blocks(first) == [(0, 3, 1)]
    assert node.blocks(second) == [(1, 7, 1)]


def test_touches_that_are_nobodys_are_passed_over(node: Node) -> None:
    recording = node.begin()
    unknown = BlockName(LayerName("f" * 12), recording.variant)
    node.recordings.touch(unknown, 0, BLOCK)
    node.recordings.touch(BlockName(LAYERS[0].name, Variant(Role.RECORD, 99)), 0, BLOCK)
    assert node.blocks(recording) == []


def test_only_one_start_of_an_image_and_workload_is_recorded_at_a_time(node: Node) -> None:
    assert not node.recordings.is_recorded(IMAGE, "")
    recording = node.begin()
    assert node.recordings.is_recorded(IMAGE, "")
    assert not node.recordings.is_recorded(IMAGE, "train")
    node.recordings.stop(recording.number)
    assert node.recordings.is_recorded(IMAGE, ""), "its record was not handed on yet"
    node.recordings.hand_on(recording)
    assert not node.recordings.is_recorded(IMAGE, "")


@pytest.mark.parametrize(("passed", "ended"), [(10.0, Ended.QUIET), (61.0, Ended.WINDOW)])
def test_a_recording_ends_by_itself(node: Node, passed: float, ended: Ended) -> None:
    recording = node.begin()
    assert node.recordings.over() == []
    node.now += passed
    assert node.recordings.over() == [recording]
    expected = Ended.WINDOW if passed > RULES.window else Ended.QUIET
    assert node.recordings.record(recording).ended is expected is ended


def test_a_recording_whose_container_is_gone_is_over(node: Node) -> None:
    recording = node.begin()
    node.touch(recording, 0, 1)
    node.recordings.stop(recording.number)
    node.touch(recording, 0, 2)
    assert node.recordings.over() == [recording]
    assert node.recordings.record(recording).ended is Ended.STOPPED
    assert node.blocks(recording) == [(0, 1, 1)]
    node.recordings.stop(12345)  # of a container that started before the last update


def test_the_next_server_goes_on_with_what_was_recorded(node: Node) -> None:
    recording = node.begin("train")
    node.touch(recording, 1, 4)
    node.now += 3
    node.recordings.persist()
    node.touch(recording, 1, 30)  # after the last write: lost with the server
    node.now += 500
    (found,) = node.serve().describe()
    assert (found["image"], found["workload"], found["blocks"]) == (IMAGE.reference, "train", 1)
    assert found["going_on"], "time in between does not count"
    again = BlockName(LAYERS[1].name, Variant(Role.RECORD, found["number"]))
    node.recordings.touch(again, 4 * BLOCK, 2 * BLOCK)
    node.recordings.stop(found["number"])
    (over,) = node.recordings.over()
    assert over.image == IMAGE
    assert [one.mount for one in over.layers] == [one.mount for one in LAYERS]
    assert node.blocks(over) in ([(1, 4, 2)], [(1, 4, 1), (1, 5, 1)])


def test_a_server_that_is_stopped_keeps_everything(node: Node) -> None:
    recording = node.begin()
    node.touch(recording, 0, 9)
    node.recordings.persist()  # not due yet
    assert node.files() == [f"{recording.number}.json"]
    node.recordings.persist(now=True)
    node.serve()
    assert [one["blocks"] for one in node.recordings.describe()] == [1]


def test_what_was_handed_on_leaves_nothing_on_disk(node: Node) -> None:
    recording = node.begin()
    node.touch(recording, 0, 9)
    node.recordings.persist(now=True)
    assert node.files() == [f"{recording.number}.json", f"{recording.number}.rec"]
    node.recordings.hand_on(recording)
    assert node.files() == []
    assert node.serve().describe() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text(json.dumps({"layers": [{"mount": 1}]})),
        lambda path: path.with_suffix(".rec").write_bytes(b"garbage"),
        lambda path: path.with_suffix(".rec").write_bytes(b""),
        lambda path: path.rename(path.with_stem("seven")),
    ],
)
def test_a_recording_whose_files_are_damaged_is_lost_and_the_others_are_not(
    node: Node, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    lost, kept = node.begin(), node.begin("train")
    node.touch(lost, 0, 1)
    node.touch(kept, 0, 2)
    node.recordings.persist(now=True)
    damage(node.root / f"hot/recordings/{lost.number}.json")  # type: ignore[operator]
    node.serve()
    assert [one["number"] for one in node.recordings.describe()] == [kept.number]
    assert [r.message for r in caplog.records].count("hot.recording_lost") == 1
    assert node.serve() is not None
    assert [r.message for r in caplog.records].count("hot.recording_lost") == 1, "said once"


def test_a_record_of_other_layers_is_not_gone_on_with(node: Node) -> None:
    first = node.begin()
    other = node.recordings.begin(IMAGE, "train", (layer(3),))
    node.touch(first, 0, 1)
    node.recordings.persist(now=True)
    directory = node.root / "hot/recordings"
    (directory / f"{first.number}.rec").rename(directory / f"{other.number}.rec")
    node.serve()
    assert [one["workload"] for one in node.recordings.describe()] == [""]


def test_a_number_that_is_in_use_is_not_given_out_again(node: Node) -> None:
    first = node.begin()
    (node.root / "hot/numbers").unlink()
    node.serve()
    assert node.begin("train").number != first.number


def test_a_recording_that_the_kernel_tells_of_does_not_go_by_reads(node: Node) -> None:
    told, exact = node.begin(), node.begin("train")
    node.recordings.watch(told)
    assert not node.recordings.notes_reads(told.number)
    assert node.recordings.notes_reads(exact.number)
    assert node.recordings.watching == 1
    assert node.recordings.faces(LAYERS[0].name) == [BlockName(LAYERS[0].name, told.variant)]
    assert node.recordings.faces(LayerName("f" * 12)) == []
    node.recordings.stop(told.number)
    assert node.recordings.watching == 0


def test_what_is_told_later_counts_from_when_it_was(node: Node) -> None:
    recording = node.begin()
    node.recordings.watch(recording)
    node.now += 2
    name = BlockName(LAYERS[0].name, recording.variant)
    node.recordings.touch(name, 0, BLOCK, at=100.5)
    node.recordings.touch(name, 5 * BLOCK, BLOCK, at=101.25)
    record = node.recordings.record(recording)
    assert record.time_ms.tolist() == [500, 1250]


def test_the_next_server_knows_of_which_recordings_the_kernel_tells(node: Node) -> None:
    told, exact = node.begin(), node.begin("train")
    node.recordings.watch(told)
    node.serve()
    assert node.recordings.watching == 1
    assert not node.recordings.notes_reads(told.number)
    assert node.recordings.notes_reads(exact.number)


def test_recordings_of_which_nobody_tells_any_more_end_and_the_others_go_on(node: Node) -> None:
    told, exact = node.begin(), node.begin("train")
    node.recordings.watch(told)
    node.recordings.unwatch()
    (over,) = node.recordings.over()
    assert over is told
    assert node.recordings.record(told).ended is Ended.INTERRUPTED
    assert node.recordings.is_recorded(IMAGE, exact.workload)
