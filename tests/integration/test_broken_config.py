"""Somebody breaks the daemon's configuration while it serves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from layer_reader import data_tree, layer_reader, right
from trouble_image import TroubleImage, publish_indexes, trouble_image
from whole import Whole, bootseer, whole

from benchmarks.lab.workdir import work_directory

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def node() -> Iterator[Whole]:
    alone = "fuse: {standby: 0}\n"  # no server waits that has read the configuration before
    with work_directory() as directory, whole(directory, alone) as made:
        yield made


@pytest.fixture(scope="module")
def image(node: Whole) -> TroubleImage:
    made = trouble_image(node, "broken")
    publish_indexes(node, made)
    node.pull(made.reference)
    return made


@pytest.fixture(scope="module")
def tree(node: Whole, image: TroubleImage) -> Path:
    """Where the data is mounted: a server that was only just started lists no layers yet."""
    return data_tree(node.daemon, image)


@pytest.fixture
def broken(node: Whole) -> Iterator[str]:
    """What the log had before the file was broken."""
    good = node.daemon.config.read_text()
    node.daemon.config.write_text("no: sense\n")
    yield node.daemon.log()
    node.daemon.config.write_text(good)


def test_a_server_that_dies_is_followed_by_one_with_what_it_knew_and_so_is_that_one(
    node: Whole, image: TroubleImage, tree: Path, broken: str
) -> None:
    with layer_reader(tree) as reader:
        for _ in range(2):
            reader.begin(5)
            node.kill_server()
            assert reader.results(5) == [right(image)] * 5
    assert "config.unusable" in node.daemon.log()[len(broken) :]


def test_an_upgrade_is_refused_and_names_what_is_wrong(
    node: Whole, image: TroubleImage, tree: Path, broken: str
) -> None:
    serves = node.daemon.server_pid()
    with pytest.raises(AssertionError, match="1: no: unknown key"):
        bootseer("snapshotter", "upgrade", "--config", str(node.daemon.config))
    assert node.daemon.server_pid() == serves
    with layer_reader(tree) as reader:
        assert reader.read() == [right(image)]
