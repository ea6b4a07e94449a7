"""Starts on all nodes at once, each way in turn, again and again."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks.lab.access_log import Request
from benchmarks.lab.nginx_cache import nginx_cache
from benchmarks.lab.starts import drop_caches
from benchmarks.start.faults import Fault, inflicted, install_of, way_of
from benchmarks.start.node_start import Outcome, Ready, ready_node, remove_node, start
from benchmarks.start.place import Place, Rates
from benchmarks.start.results import NodeStart, Start
from benchmarks.start.ways import Way
from tooling.progress import doing

_PIECE: Final = 1 << 20
_MIRROR_PORT: Final = 8081
_REST_S: Final = 4.0
"""Bootseer follows containerd's events by then: it looks for it every two seconds."""


def measure(
    place: Place,
    ways: Sequence[Way],
    attempts: Iterable[int],
    done: Callable[[Start], None],
    *,
    mirrored: bool = False,
) -> None:
    """Start in every way in turn, once for each attempt; `done` is told of each. HostError."""
    for attempt in attempts:
        for way in ways:
            with doing(f"{way.name} ({way.title}), run {attempt}"):
                done(start_everywhere(place, way, attempt, mirrored=mirrored, rest=_REST_S))


def start_everywhere(
    place: Place,
    way: Way,
    attempt: int,
    *,
    nodes: int | None = None,
    mirrored: bool = False,
    rest: float = 0.0,
) -> Start:
    """Start on every node of the place (or the first `nodes`) at the same moment.

    `mirrored`: all of them ask a cache first, which has nothing yet. `rest`: seconds between the
    nodes' daemons and the start. HostError if one does not start.
    """
    numbers = range(nodes or len(place.net.nodes))
    try:
        with contextlib.ExitStack() as stack:
            mirror = stack.enter_context(_new_mirror(place)) if mirrored else ""
            ready = [
                stack.enter_context(ready_node(place, way, attempt, n, mirror=mirror))
                for n in numbers
            ]
            _forget(place)
            time.sleep(rest)
            place.server.new_requests()
            outcomes = _at_once(ready)
            asked = place.server.new_requests()
    finally:
        for number in numbers:
            remove_node(place, number)
    return _recorded(way, attempt, outcomes, asked)


@contextlib.contextmanager
def _new_mirror(place: Place) -> Iterator[str]:
    """Run a cache before the registry during the block; give its host and port. HostError."""
    machine, directory = place.net.mirror, place.directory / "mirror"
    host = f"{machine.address}:{_MIRROR_PORT}"
    cache = nginx_cache(directory, place.server.host, host, machine.enter)
    try:
        with cache.running():
            yield host
    finally:
        shutil.rmtree(directory)


def start_with_fault(place: Place, fault: Fault, attempt: int, rates: Rates) -> Start:
    """Start as all of ours do, on one node, while something goes wrong. HostError if it does not
    start anyway, or the fault did not come to pass.
    """
    way = way_of(fault)
    try:
        with ready_node(place, way, attempt, 0) as node:
            _forget(place)
            place.server.new_requests()
            with inflicted(fault, node, rates) as ready:
                outcome = start(ready, install_of(fault))
            asked = place.server.new_requests()
    finally:
        remove_node(place, 0)
    return _recorded(way, attempt, [outcome], asked)


def _recorded(
    way: Way, attempt: int, outcomes: Sequence[Outcome], asked: Sequence[Request]
) -> Start:
    return Start(
        way.name,
        attempt,
        tuple(NodeStart(one.seconds, one.bytes, one.losses) for one in outcomes),
        sum(one.sent for one in asked if one.method == "GET"),
    )


def _at_once(ready: Sequence[Ready]) -> list[Outcome]:
    gate = threading.Barrier(len(ready))

    def one(node: Ready) -> Outcome:
        gate.wait()
        return start(node)

    with ThreadPoolExecutor(len(ready)) as pool:
        return list(pool.map(one, ready))


def _forget(place: Place) -> None:
    """Have nothing in the page cache but what servers have in theirs: they are other machines."""
    drop_caches()
    for path in place.served_files():
        with contextlib.suppress(OSError), path.open("rb", 0) as file:
            while file.read(_PIECE):
                pass
