"""Which pictures a step sees."""

import torch

from idpl.data.batches import (
    Share,
    epoch_order,
    halves_indexes,
    source_batch,
    source_indexes,
    target_batch,
)


def test_every_picture_is_seen_once_an_epoch_in_another_order_each_time() -> None:
    seen = [index for step in range(6) for index in epoch_order(8, 4, 1, 1, step)]
    epochs = [seen[start : start + 8] for start in (0, 8, 16)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_an_epoch_may_end_within_a_batch_and_be_smaller_than_one() -> None:
    seen = [index for step in range(5) for index in epoch_order(3, 4, 1, 1, step)]
    assert sorted(seen[:3]) == [0, 1, 2]
    assert sorted(seen[3:6]) == [0, 1, 2]


def test_processes_share_a_batch_without_overlap() -> None:
    whole = source_indexes(20, 8, 1, 3)
    parts = [Share(rank, 4).of(whole) for rank in range(4)]
    assert all(len(part) == 2 for part in parts)
    assert sorted(index for part in parts for index in part) == sorted(whole)


def test_half_of_a_batch_is_easy_in_every_process() -> None:
    easy = [index % 3 == 0 for index in range(12)]
    chosen = halves_indexes(easy, 8, 1, 5)
    for rank in range(4):
        kinds = [easy[index] for index in Share(rank, 4).of(chosen)]
        assert sorted(kinds) == [False, True]


def test_where_one_kind_is_missing_the_other_takes_its_place() -> None:
    assert len(halves_indexes([True] * 5, 4, 1, 0)) == 4


def test_a_step_is_the_same_again_and_another_step_is_not(tiny) -> None:
    one, again, other = (source_batch(tiny.sets.source, [0, 1], 1, step) for step in (3, 3, 4))
    assert torch.equal(one.pictures, again.pictures)
    assert not torch.equal(one.pictures, other.pictures)


def test_a_pictures_change_does_not_depend_on_what_is_beside_it(tiny) -> None:
    both = target_batch(tiny.sets.target, [2, 5], 1, 7)
    alone = target_batch(tiny.sets.target, [5], 1, 7)
    assert torch.equal(both.changed[1], alone.changed[0])
    assert torch.equal(both.flips[1:], alone.flips)
