"""What fuzzing runs: every target takes its seeds, and some changes to them."""

from itertools import islice
from random import Random

import pytest

from tooling.fuzz.mutation import mutants
from tooling.fuzz.target import FOUND
from tooling.fuzz.targets import TARGETS

NEAR = 500
"""Changes, always the same ones; `scripts/fuzz` goes on from there."""


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_what_lies_near_them_are_refused_or_right(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        target.run(seed)
    for data in islice(mutants(seeds, target.largest, Random(7)), NEAR):
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
