"""The subdomain classifier."""

import torch
from test_thresholds import picture

from idpl.config import ThresholdConfig
from idpl.subdomains import Subdomains, difficulty, split
from idpl.thresholds import DynamicThresholds


def judged(confidences: list[float], known: torch.Tensor) -> float:
    thresholds = DynamicThresholds(len(confidences), ThresholdConfig())
    return difficulty(thresholds.look(picture(confidences)[None])[0], known)


def test_a_picture_is_as_difficult_as_the_part_of_its_instances_that_is() -> None:
    known = torch.tensor([0.7, 0.7, 0.7, 0.7])
    parts = [judged([0.9] * (4 - difficult) + [0.5] * difficult, known) for difficult in range(5)]
    for found, expected in zip(parts, (0, 0.25, 0.5, 0.75, 1), strict=True):
        assert abs(found - expected) < 0.01


def test_classes_that_are_not_there_say_nothing() -> None:
    known = torch.tensor([0.7, 0.7, 0.95])
    thresholds = DynamicThresholds(3, ThresholdConfig())
    two = picture([0.9, 0.9, 0.9])[:, :, :16]
    assert difficulty(thresholds.look(two[None])[0], known) < 0.01


def test_the_split_follows_confidence() -> None:
    known = torch.full((3,), 0.7)
    confidences = [0.95, 0.4, 0.8, 0.5, 0.9, 0.6]
    scores = torch.tensor([judged([0.95, one, one], known) for one in confidences])
    assert split(scores, 0.5) == [True, False, True, False, True, False]


def test_the_split_moves_when_pictures_become_easier() -> None:
    subdomains = Subdomains(4, 0.5)
    subdomains.put(torch.tensor([0.1, 0.2, 0.8, 0.9]))
    assert subdomains.easy() == [True, True, False, False]
    subdomains.put(torch.tensor([0.6, 0.2, 0.1, 0.9]))
    assert subdomains.easy() == [False, True, True, False]


def test_both_subdomains_have_members_even_where_all_pictures_are_alike() -> None:
    assert split(torch.zeros(6), 0.5) == [True] * 3 + [False] * 3
    assert split(torch.ones(3), 0.1) == [True, False, False]


def test_scores_are_part_of_what_is_saved() -> None:
    one, other = Subdomains(3, 0.5), Subdomains(3, 0.5)
    one.put(torch.tensor([0.9, 0.1, 0.5]))
    other.load_state_dict(one.state_dict())
    assert other.easy() == one.easy()
