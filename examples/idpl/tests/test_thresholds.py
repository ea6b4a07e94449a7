"""Instance-level dynamic thresholds."""

import pytest
import torch

from idpl.classes import IGNORE
from idpl.config import ThresholdConfig
from idpl.thresholds import DynamicThresholds, fused, instances, label_above, matching

CONFIG = ThresholdConfig()


def picture(confidences: list[float], size: int = 8) -> torch.Tensor:
    """A picture [C, size, size * C] in which a band of each class has that confidence."""
    classes = len(confidences)
    bands = []
    for number, confidence in enumerate(confidences):
        band = torch.full((classes, size, size), (1 - confidence) / (classes - 1))
        band[number] = confidence
        bands.append(band)
    return torch.cat(bands, dim=2)


def after(thresholds: DynamicThresholds, probabilities: torch.Tensor, times: int) -> torch.Tensor:
    for _ in range(times):
        thresholds.move(thresholds.sums(thresholds.look(probabilities[None])))
    return thresholds.value.clone()


def test_the_threshold_of_a_starved_class_falls_until_it_gets_labels() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    after(thresholds, picture([0.9, 0.9, 0.9]), 3)
    starving = picture([0.9, 0.9, 0.6])
    first = label_above(starving[None], thresholds.value[None]).labels
    assert not bool((first == 2).any())
    values = [float(after(thresholds, starving, 1)[2]) for _ in range(40)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.62
    looked = thresholds.look(starving[None])
    assert bool(
        (label_above(starving[None], thresholds.thresholds(looked) - 0.01).labels == 2).any()
    )


def test_the_threshold_of_a_flooded_class_rises() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    after(thresholds, picture([0.5, 0.9, 0.9]), 3)
    flooding = picture([0.94, 0.9, 0.9])
    assert bool((label_above(flooding[None], thresholds.value[None]).labels == 0).any())
    values = [float(after(thresholds, flooding, 1)[0]) for _ in range(40)]
    assert values == sorted(values)
    assert values[-1] > 0.92


def test_thresholds_stay_between_floor_and_ceiling() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    assert float(after(thresholds, picture([0.999, 0.999, 0.34]), 50)[0]) == pytest.approx(0.95)
    assert float(thresholds.value[2]) == pytest.approx(0.34, abs=0.01)
    assert float(thresholds.value.min()) >= CONFIG.floor


def test_a_class_that_is_not_seen_keeps_its_threshold_and_profile() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    after(thresholds, picture([0.8, 0.7, 0.6]), 5)
    value, profile = float(thresholds.value[2]), thresholds.profile[2].clone()
    two = picture([0.9, 0.9, 0.9])[:, :, :16]  # without the band of class 2
    after(thresholds, two, 5)
    assert float(thresholds.value[2]) == value
    assert torch.equal(thresholds.profile[2], profile)


def test_a_typical_instance_speaks_for_itself_and_an_odd_one_does_not() -> None:
    known = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    odd = torch.tensor([[0.8, 0.1, 0.1], [0.0, 0.5, 0.5], [0.5, 0.45, 0.05]])
    match = matching(odd, known)
    assert float(match[0]) == pytest.approx(1)
    assert float(match[0]) > float(match[1]) > float(match[2])
    result = fused(torch.full((3,), 0.9), torch.full((3,), 0.5), match)
    assert float(result[0]) == pytest.approx(0.7)
    assert float(result[0]) < float(result[1]) < float(result[2]) < 0.9


def test_two_pictures_have_thresholds_of_their_own() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    both = torch.stack([picture([0.9, 0.8, 0.5]), picture([0.9, 0.8, 0.8])])
    thresholds.move(thresholds.sums(thresholds.look(both)))
    found = thresholds.thresholds(thresholds.look(both))
    assert float(found[0, 2]) < float(found[1, 2])
    assert float(found[0, 0]) == pytest.approx(float(found[1, 0]))


def test_without_the_local_side_all_pictures_share_the_global_thresholds() -> None:
    thresholds = DynamicThresholds(3, ThresholdConfig(local=False))
    both = torch.stack([picture([0.9, 0.8, 0.5]), picture([0.9, 0.8, 0.8])])
    thresholds.move(thresholds.sums(thresholds.look(both)))
    found = thresholds.thresholds(thresholds.look(both))
    assert torch.equal(found[0], found[1])


def test_less_is_kept_of_a_class_that_is_unsure() -> None:
    thresholds = DynamicThresholds(3, CONFIG)
    after(thresholds, picture([0.9, 0.9, 0.5]), 5)
    portions = thresholds.portions()
    assert float(portions[2]) < float(portions[0]) / 2


def test_the_wanted_portion_of_a_class_is_above_its_local_threshold() -> None:
    torch.manual_seed(1)
    sure = torch.rand(1, 40, 40) * 0.4 + 0.5
    probabilities = torch.cat([sure, 1 - sure])
    found = instances(probabilities, torch.tensor([0.25, 0.25]))
    kept = (sure > found.sure[0]).float().mean()
    assert float(kept) == pytest.approx(0.25, abs=0.01)


def test_labels_are_given_above_the_threshold_only() -> None:
    probabilities = picture([0.9, 0.6])[None]
    labels = label_above(probabilities, torch.tensor([[0.5, 0.7]])).labels
    assert labels[0, :, :8].unique().tolist() == [0]
    assert labels[0, :, 8:].unique().tolist() == [IGNORE]


def test_processes_that_add_up_their_sums_move_as_one_with_all_pictures() -> None:
    torch.manual_seed(2)
    pictures = torch.randn(4, 3, 8, 8).mul(2).softmax(1)
    alone, together = DynamicThresholds(3, CONFIG), DynamicThresholds(3, CONFIG)
    alone.move(alone.sums(alone.look(pictures)))
    halves = [together.sums(together.look(part)) for part in pictures.split(2)]
    together.move(halves[0] + halves[1])
    assert torch.allclose(alone.value, together.value)
    assert torch.allclose(alone.profile, together.profile)
