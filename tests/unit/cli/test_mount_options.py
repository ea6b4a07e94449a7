"""Options of a mount, as fstab has them."""

from pathlib import Path

import pytest

from bootseer.cli.mount_options import MountOptions, parse_options
from bootseer.errors import UsageError


def test_what_is_ours_is_taken_and_what_is_for_others_is_left() -> None:
    text = "rw,_netdev,nofail,x-systemd.automount,wait,hdfs_user=alice,hadoop_conf=/etc/h=x,ro"
    expected = MountOptions(hadoop_conf=Path("/etc/h=x"), hdfs_user="alice", wait=True, ro=True)
    assert parse_options(text) == expected
    assert parse_options("") == MountOptions()


@pytest.mark.parametrize("text", ["wiat", "wait=1", "config", "config=", "nofail,stripes=3"])
def test_what_nobody_knows_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError):
        parse_options(text)
