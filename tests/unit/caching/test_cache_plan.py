from hypothesis import given
from hypothesis import strategies as st

from snapshotter.blocks.names import LayerName
from snapshotter.caching.plan import (
    Bounds,
    CachedLayer,
    DiskSpace,
    Hold,
    Plan,
    Shrink,
    is_crowded,
    needed,
    plan,
)

ROOMY = DiskSpace(total=100_000, free=90_000)


def layer(name: str, size: int, used: float, hold: Hold = Hold.NOTHING) -> CachedLayer:
    return CachedLayer(
        LayerName(name), size, used, hold, evictable=size // 2 if hold is Hold.MOUNTED else 0
    )


OLD, NEW = layer("old", 4000, 1), layer("new", 4000, 2)
BUSY = layer("busy", 4000, 0, Hold.MOUNTED)
PINNED = layer("pinned", 4000, 0, Hold.PINNED)


def test_within_its_bounds_everything_stays() -> None:
    assert plan(Bounds(size=16_000), ROOMY, [OLD, NEW, BUSY, PINNED]) == Plan()


def test_without_a_bound_only_the_disk_decides() -> None:
    assert plan(Bounds(), ROOMY, [OLD, NEW]) == Plan()


def test_the_unused_layer_that_was_used_longest_ago_goes_first() -> None:
    assert plan(Bounds(size=7999), ROOMY, [NEW, OLD]) == Plan(remove=(OLD.name,))


def test_what_is_mounted_goes_only_when_nothing_unused_is_left() -> None:
    assert plan(Bounds(size=8500), ROOMY, [BUSY, OLD, NEW]).shrink == ()
    found = plan(Bounds(size=3200), ROOMY, [BUSY, OLD, NEW])
    assert found == Plan(remove=(OLD.name, NEW.name), shrink=(Shrink(BUSY.name, 900),))


def test_of_two_that_are_mounted_the_one_read_longest_ago_gives_first() -> None:
    other = layer("other", 4000, 5, Hold.MOUNTED)
    found = plan(Bounds(size=6400), ROOMY, [other, BUSY])
    assert found.shrink == (Shrink(BUSY.name, 1800),)


def test_what_is_mounted_from_its_file_never_goes_and_what_is_missing_is_said() -> None:
    assert plan(Bounds(size=3200), ROOMY, [PINNED]) == Plan(short=900)


def test_little_free_space_removes_what_is_unused_and_nothing_that_is_mounted() -> None:
    disk = DiskSpace(total=100_000, free=19_000)
    assert plan(Bounds(), disk, [BUSY, OLD, NEW]) == Plan(remove=(OLD.name,))


def test_less_than_the_floor_takes_chunks_of_what_is_mounted_too() -> None:
    disk = DiskSpace(total=100_000, free=4_000)
    assert plan(Bounds(), disk, [BUSY]) == Plan(shrink=(Shrink(BUSY.name, 1500),))


def test_a_bound_of_nought_is_no_bound() -> None:
    disk = DiskSpace(total=100_000, free=0)
    assert plan(Bounds(spare=0, least_free=0), disk, [OLD, BUSY]) == Plan()


def test_the_cache_is_crowded_by_what_is_needed_not_by_what_is_kept() -> None:
    assert not is_crowded(Bounds(size=8000), [OLD, NEW])
    assert is_crowded(Bounds(size=8000), [BUSY, PINNED])
    assert not is_crowded(Bounds(), [BUSY, PINNED])


layers = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 9), st.sampled_from(Hold)), max_size=9
).map(lambda rows: [layer(str(n), size, used, hold) for n, (size, used, hold) in enumerate(rows)])
bounds = st.builds(
    Bounds, st.integers(0, 20_000), st.sampled_from([0, 0.2]), st.sampled_from([0, 0.05])
)


@given(bounds, st.integers(0, 100_000), layers)
def test_a_plan_frees_what_is_needed_or_says_how_much_is_short(
    wanted: Bounds, free: int, found: list[CachedLayer]
) -> None:
    disk = DiskSpace(100_000, free)
    made = plan(wanted, disk, found)
    by_name = {one.name: one for one in found}
    freed = sum(by_name[name].size for name in made.remove)
    freed += sum(step.size for step in made.shrink)
    at_any_rate, _ = needed(wanted, disk, sum(one.size for one in found))
    assert freed + made.short >= at_any_rate
    assert all(by_name[name].hold is Hold.NOTHING for name in made.remove)
    assert all(step.size <= by_name[step.name].evictable for step in made.shrink)
    if made.shrink or made.short:
        unused = {one.name for one in found if one.hold is Hold.NOTHING and one.size}
        assert unused <= set(made.remove)
