"""User namespaces: what a mapping of ids makes of a snapshot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseer.errors import UsageError
from snapshotter.snapshots.idmap import GIDS, UIDS, mapped, owner
from snapshotter.snapshots.records import Mount, Owner

PLAIN = Owner(5, 6, 0o755)
OVERLAY = Mount("overlay", "overlay", ("lowerdir=/a:/b", "upperdir=/u"))
BIND = Mount("bind", "/a", ("rw", "rbind"))
BOTH = {UIDS: "0:100000:65536", GIDS: "5:7:1,0:200000:65536"}


def test_without_a_mapping_nothing_changes() -> None:
    assert owner({}, PLAIN) == PLAIN
    assert mapped([OVERLAY, BIND], {"a": "b"}) == [OVERLAY, BIND]


def test_the_directory_is_that_of_the_containers_root() -> None:
    assert owner(BOTH, PLAIN) == Owner(100_000, 200_000, 0o755)


def test_overlays_say_how_their_layers_are_mapped() -> None:
    made = mapped([OVERLAY, BIND], BOTH)
    options = (*OVERLAY.options, f"uidmap={BOTH[UIDS]}", f"gidmap={BOTH[GIDS]}")
    assert made == [Mount("overlay", "overlay", options), BIND]


@pytest.mark.parametrize(
    "labels",
    [
        {UIDS: "0:1:1"},
        {GIDS: "0:1:1"},
        {UIDS: "0:1:1", GIDS: "1:5:1"},
        {UIDS: "0:1:0", GIDS: "0:1:1"},
        {UIDS: "0:1:1,lowerdir=/etc", GIDS: "0:1:1"},
        {UIDS: "0:4294967290:100", GIDS: "0:1:1"},
        {UIDS: ",".join(["0:1:1"] * 341), GIDS: "0:1:1"},
    ],
)
def test_what_is_no_mapping_is_refused(labels: dict[str, str]) -> None:
    for look in (lambda: owner(labels, PLAIN), lambda: mapped([OVERLAY], labels)):
        with pytest.raises(UsageError, match="user namespace"):
            look()


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_a_mapping_or_refused(uids: str, gids: str) -> None:
    try:
        made = mapped([OVERLAY], {UIDS: uids, GIDS: gids})
    except UsageError:
        return
    assert all("/" not in option for option in made[0].options[2:])
