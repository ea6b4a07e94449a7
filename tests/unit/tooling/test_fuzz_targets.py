"""What fuzzing runs: every target takes its seeds, and a second of changes to them."""

import time
from itertools import takewhile
from random import Random

import pytest

from tooling.fuzz.mutation import mutants
from tooling.fuzz.target import FOUND
from tooling.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_what_lies_near_them_are_refused_or_right(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        target.run(seed)
    end = time.monotonic() + 1.0
    near = mutants(seeds, target.largest, Random(7))
    for data in takewhile(lambda _: time.monotonic() < end, near):
        target.run(data)


def test_mutants_stay_within_the_size_and_are_the_same_for_one_seed() -> None:
    def drawn() -> list[bytes]:
        found = mutants([b"", b"abc" * 50, b"x"], 100, Random(3))
        return [next(found) for _ in range(500)]

    assert drawn() == drawn()
    assert max(map(len, drawn())) <= 100
    assert len(set(drawn())) > 250


def test_inputs_that_were_found_belong_to_targets() -> None:
    assert {path.name for path in FOUND.glob("*")} <= TARGETS.keys()
