"""Starts on all nodes at once, each way in turn, again and again."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from benchmarks.lab.nginx_cache import nginx_cache
from benchmarks.lab.page_cache import drop_all_but
from benchmarks.start.faults import Fault, inflicted, install_of, way_of
from benchmarks.start.node_start import Outcome, Ready, ready_node, remove_node, start
from benchmarks.start.place import Place, Rates
from benchmarks.start.results import NodeStart, Start
from benchmarks.start.ways import OURS, Way
from tooling.progress import doing

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
                done(start_everywhere(place, way, attempt, mirrored=mirrored))


def start_everywhere(
    place: Place,
    way: Way,
    attempt: int,
    *,
    nodes: int | None = None,
    mirrored: bool = False,
    cold: bool = True,
) -> Start:
    """Start on every node of the place (or the first `nodes`) at the same moment.

    `mirrored`: all of them ask a cache first, which has nothing yet. `cold`: nothing of it is in
    the page cache, and daemons have found each other; without, nothing is measured but the job is
    the same. HostError if one does not start.
    """
    numbers = range(nodes or len(place.net.nodes))
    try:
        with contextlib.ExitStack() as stack:
            mirror = stack.enter_context(_new_mirror(place)) if mirrored else ""
            ready = [
                stack.enter_context(ready_node(place, way, attempt, n, mirror=mirror))
                for n in numbers
            ]
            if cold:
                drop_all_but(place.served_files())
                time.sleep(_REST_S)
            sent = _Sent(place)
            outcomes = _at_once(ready)
            made = sent.recorded(way, attempt, outcomes)
    finally:
        for number in numbers:
            remove_node(place, number)
    return made


def start_alone(place: Place) -> Start:
    """Start as all of ours do on one node that asks the registry itself; no events are kept."""
    way = replace(OURS, name=f"{OURS.name}-alone")
    try:
        return start_everywhere(place, way, 0, nodes=1)
    finally:
        shutil.rmtree(place.events / way.name)


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


def start_with_fault(
    place: Place, fault: Fault, attempt: int, rates: Rates, *, cold: bool = True
) -> Start:
    """Start as all of ours do, on one node, while something goes wrong; `cold` as in
    `start_everywhere`. HostError if it does not start anyway, or the fault did not come to pass.
    """
    way = way_of(fault)
    try:
        with ready_node(place, way, attempt, 0) as node:
            if cold:
                drop_all_but(place.served_files())
                time.sleep(_REST_S)
            sent = _Sent(place)
            with inflicted(fault, node, rates) as ready:
                outcome = start(ready, install_of(fault))
            made = sent.recorded(way, attempt, [outcome])
    finally:
        remove_node(place, 0)
    return made


class _Sent:
    """What the place's servers send from now on."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._before = place.net.bytes_from(place.net.services)
        place.server.new_requests()

    def recorded(self, way: Way, attempt: int, outcomes: Sequence[Outcome]) -> Start:
        """Return a start that was made since."""
        place = self._place
        return Start(
            way.name,
            attempt,
            tuple(NodeStart(one.seconds, one.bytes, one.losses) for one in outcomes),
            sum(one.sent for one in place.server.new_requests() if one.method == "GET"),
            place.net.bytes_from(place.net.services) - self._before,
        )


def _at_once(ready: Sequence[Ready]) -> list[Outcome]:
    gate = threading.Barrier(len(ready))

    def one(node: Ready) -> Outcome:
        gate.wait()
        return start(node)

    with ThreadPoolExecutor(len(ready)) as pool:
        return list(pool.map(one, ready))
