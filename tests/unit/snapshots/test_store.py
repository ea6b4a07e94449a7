"""The snapshot store: against a model, across restarts, and when SQLite fails."""

import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bootseer.errors import BootseerError, HostError, NotFoundError, UsageError
from snapshotter.snapshots.errors import ExistsError, StateError
from snapshotter.snapshots.records import Info, Kind, Link, Usage
from snapshotter.snapshots.schema import MIGRATIONS
from snapshotter.snapshots.store import Snapshots, Store

SN = "plugin"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    clock = count(1)
    store = Store(path, now=lambda: next(clock))
    yield store
    store.close()


def commit(snapshots: Snapshots, name: str, parent: str = "") -> None:
    snapshots.insert(Kind.ACTIVE, f"{name}-active", parent, {})
    snapshots.commit(f"{name}-active", name, {}, "", Usage(1, 1))


def test_a_snapshot_is_what_was_inserted(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        row = snapshots.insert(Kind.ACTIVE, "a", "", {"k": "v"}, layer="l", usage=Usage(5, 6))
    assert row.info.created_ns == row.info.updated_ns
    assert row.info.labels == {"k": "v"}
    assert (row.link.layer, row.usage) == ("l", Usage(5, 6))
    with store.transaction(SN) as snapshots:
        assert snapshots.get("a") == row


def test_committing_keeps_the_id_and_replaces_name_labels_and_times(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        before = snapshots.insert(Kind.ACTIVE, "a", "", {"old": "1"})
        snapshots.commit("a", "c", {"new": "2"}, "", Usage(7, 8))
        after = snapshots.get("c")
        assert snapshots.find("a") is None
    assert after.link == before.link
    assert after.usage == Usage(7, 8)
    assert after.info.labels == {"new": "2"}
    assert after.info.kind is Kind.COMMITTED
    assert after.info.created_ns == after.info.updated_ns > before.info.created_ns


def test_a_parent_may_be_given_at_commit_but_not_changed(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        commit(snapshots, "p")
        commit(snapshots, "q")
        snapshots.insert(Kind.ACTIVE, "late", "", {})
        snapshots.commit("late", "child", {}, "p", Usage(0, 0))
        assert snapshots.get("child").info.parent == "p"
        snapshots.insert(Kind.ACTIVE, "a", "p", {})
        with pytest.raises(UsageError, match="another parent"):
            snapshots.commit("a", "b", {}, "q", Usage(0, 0))
        snapshots.commit("a", "b", {}, "p", Usage(0, 0))
        snapshots.insert(Kind.ACTIVE, "x", "", {})
        with pytest.raises(NotFoundError):
            snapshots.commit("x", "y", {}, "gone", Usage(0, 0))


def test_only_committed_snapshots_are_parents(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        snapshots.insert(Kind.ACTIVE, "a", "", {})
        snapshots.insert(Kind.VIEW, "v", "", {})
        for name in ("a", "v"):
            with pytest.raises(UsageError, match="not a committed"):
                snapshots.insert(Kind.ACTIVE, "x", name, {})
        with pytest.raises(NotFoundError):
            snapshots.insert(Kind.ACTIVE, "x", "none", {})
        with pytest.raises(StateError):
            snapshots.commit("v", "x", {}, "", Usage(0, 0))


def test_names_are_bounded(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        for name in ("", "n" * 40000):
            with pytest.raises(UsageError, match="bytes"):
                snapshots.insert(Kind.ACTIVE, name, "", {})


def test_a_chain_goes_from_the_top_down(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        parent = ""
        for number in range(600):
            commit(snapshots, str(number), parent)
            parent = str(number)
        chain = snapshots.chain(parent)
        assert snapshots.chain("") == []
    assert chain == [Link(number, None) for number in range(600, 0, -1)]


def test_snapshotters_do_not_see_each_other(store: Store) -> None:
    with store.transaction("one") as snapshots:
        commit(snapshots, "a")
    with store.transaction("two") as snapshots:
        assert snapshots.all() == []
        with pytest.raises(NotFoundError):
            snapshots.insert(Kind.ACTIVE, "x", "a", {})
        commit(snapshots, "a")
    assert store.ids() == {1, 2}


def test_layers_are_in_use_until_the_last_snapshot_is_removed(store: Store) -> None:
    for plugin in ("one", "two"):
        with store.transaction(plugin) as snapshots:
            snapshots.insert(Kind.COMMITTED, "a", "", {}, layer="l")
    for plugin in ("one", "two"):
        assert store.uses("l")
        assert store.layers() == {"l"}
        with store.transaction(plugin) as snapshots:
            snapshots.remove("a")
    assert not store.uses("l")
    assert store.layers() == set()


def test_committed_snapshots_are_found_by_label_and_parent(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        commit(snapshots, "p")
        for number, (parent, kind) in enumerate(
            [("", Kind.COMMITTED), ("p", Kind.COMMITTED), ("p", Kind.ACTIVE)]
        ):
            snapshots.insert(kind, str(number), parent, {"ref": "x"})
        assert [row.info.name for row in snapshots.labelled("ref", "x", "p")] == ["1"]
        assert [row.info.name for row in snapshots.labelled("ref", "x", "")] == ["0"]
        assert snapshots.labelled("ref", "y", "") == []


def test_snapshots_with_a_label_are_listed_with_all_their_labels(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        snapshots.insert(Kind.ACTIVE, "a", "", {"k": "1", "l": "2"})
        snapshots.insert(Kind.ACTIVE, "b", "", {"k": "2"})
        everything = snapshots.all()
        assert snapshots.all(("k", "1")) == everything[:1]
        assert snapshots.all(("k", "3")) == []
    with store.transaction("other") as snapshots:
        assert snapshots.all(("k", "1")) == []


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def twice() -> None:
        with store.transaction(SN) as snapshots:
            snapshots.insert(Kind.ACTIVE, "a", "", {})
            snapshots.insert(Kind.ACTIVE, "a", "", {})

    with pytest.raises(ExistsError):
        twice()
    with store.transaction(SN) as snapshots:
        assert snapshots.all() == []


def test_ids_are_not_used_again(store: Store) -> None:
    with store.transaction(SN) as snapshots:
        first = snapshots.insert(Kind.ACTIVE, "a", "", {}).link.id
        snapshots.remove("a")
    with store.transaction(SN) as snapshots:
        assert snapshots.insert(Kind.ACTIVE, "a", "", {}).link.id > first


def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = Store(path)
    with store.transaction(SN) as snapshots:
        commit(snapshots, "a")
        snapshots.insert(Kind.ACTIVE, "b", "a", {"k": "v"})
        before = snapshots.all()
    store.close()
    store = Store(path)
    with store.transaction(SN) as snapshots:
        assert snapshots.all() == before
    store.close()


def test_a_newer_schema_is_refused(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO migrations VALUES (?, 1)", (len(MIGRATIONS) + 1,))
    db.close()
    with pytest.raises(HostError, match="newer program"):
        Store(path)


def test_a_file_that_is_no_database_is_a_host_error(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(HostError, match="moved away"):
        Store(path)


NAMES = st.sampled_from(["a", "b", "c", "d"])
PARENTS = st.sampled_from(["", "a", "b", "c", "d"])
LABELS = st.dictionaries(st.sampled_from("kl"), st.sampled_from("12"))


class AgainstModel(RuleBasedStateMachine):
    """Whatever is done, the store and a dictionary agree, on refusals too."""

    @initialize()
    def start(self) -> None:
        self.clock = count(1)
        self.store = Store(Path(":memory:"), now=lambda: next(self.clock))
        self.model: dict[str, tuple[Kind, str, dict[str, str]]] = {}

    def both(self, expected: type[BootseerError] | None, name: str, *arguments: object) -> None:
        outcome: type[BootseerError] | None = None
        try:
            with self.store.transaction(SN) as snapshots:
                getattr(snapshots, name)(*arguments)
        except BootseerError as error:
            outcome = type(error)
        assert outcome is expected

    @rule(kind=st.sampled_from([Kind.ACTIVE, Kind.VIEW]), name=NAMES, parent=PARENTS, labels=LABELS)
    def insert(self, kind: Kind, name: str, parent: str, labels: dict[str, str]) -> None:
        expected: type[BootseerError] | None = None
        if name in self.model:
            expected = ExistsError
        elif parent and parent not in self.model:
            expected = NotFoundError
        elif parent and self.model[parent][0] is not Kind.COMMITTED:
            expected = UsageError
        else:
            self.model[name] = (kind, parent, labels)
        self.both(expected, "insert", kind, name, parent, labels)

    @rule(key=NAMES, name=NAMES, labels=LABELS)
    def commit(self, key: str, name: str, labels: dict[str, str]) -> None:
        expected: type[BootseerError] | None = None
        if name in self.model:
            expected = ExistsError
        elif key not in self.model:
            expected = NotFoundError
        elif self.model[key][0] is not Kind.ACTIVE:
            expected = StateError
        else:
            self.model[name] = (Kind.COMMITTED, self.model.pop(key)[1], labels)
        self.both(expected, "commit", key, name, labels, "", Usage(0, 0))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        expected: type[BootseerError] | None = None
        if name not in self.model:
            expected = NotFoundError
        elif any(parent == name for _, parent, _ in self.model.values()):
            expected = StateError
        else:
            del self.model[name]
        self.both(expected, "remove", name)

    @rule(name=NAMES, labels=LABELS)
    def relabel(self, name: str, labels: dict[str, str]) -> None:
        expected = None if name in self.model else NotFoundError
        if name in self.model:
            kind, parent, _ = self.model[name]
            self.model[name] = (kind, parent, labels)
        self.both(expected, "relabel", name, labels)

    @invariant()
    def the_same_snapshots_exist(self) -> None:
        with self.store.transaction(SN) as snapshots:
            found = snapshots.all()
            assert found == [snapshots.get(info.name).info for info in found]
        assert {one.name: summary(one) for one in found} == self.model
        assert len(self.store.ids()) == len(self.model)

    def teardown(self) -> None:
        self.store.close()


def summary(info: Info) -> tuple[Kind, str, dict[str, str]]:
    return info.kind, info.parent, dict(info.labels)


TestAgainstModel = AgainstModel.TestCase
TestAgainstModel.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
