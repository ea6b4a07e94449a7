"""Networks, schedule, teacher, weights of rare classes, accuracy."""

import importlib.util
import math

import pytest
import torch

from idpl.accuracy import accuracy, confusion
from idpl.classes import CITYSCAPES, IGNORE, STREET, ClassSet
from idpl.config import NetworkConfig
from idpl.errors import ConfigError
from idpl.frequencies import never_seen, weights
from idpl.methods.self_training import label_loss
from idpl.network.build import build_network
from idpl.network.resnet import resnet_network
from idpl.schedule import poly, rising
from idpl.teacher import follow, make_teacher

THREE = ClassSet(("a", "b", "c"), ((0, 0, 0),) * 3, frozenset({"c"}))


@pytest.mark.parametrize("size", [(32, 64), (40, 72)])
def test_scores_have_the_pictures_size(size: tuple[int, int]) -> None:
    network = build_network(NetworkConfig(width=8), 5)
    output = network(torch.randn(2, 3, *size))
    assert output.scores.shape == (2, 5, *size)
    assert output.features.shape[:2] == (2, network.feature_width)


def test_a_network_learns_a_picture_by_heart() -> None:
    torch.manual_seed(1)
    network = build_network(NetworkConfig(width=8, dropout=0.0), 2)
    picture = torch.randn(1, 3, 16, 16)
    label = torch.zeros(1, 16, 16, dtype=torch.long)
    label[:, 4:12, 4:12] = 1
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = label_loss(network(picture).scores, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3


def test_a_resnet_is_torchvisions_or_its_absence_is_named() -> None:
    if importlib.util.find_spec("torchvision") is None:
        with pytest.raises(ConfigError, match="torchvision"):
            resnet_network("resnet50", 19, "", 0.1)
    else:
        output = resnet_network("resnet50", 19, "", 0.1)(torch.randn(2, 3, 32, 64))
        assert output.scores.shape == (2, 19, 32, 64)


def test_the_rate_falls_from_1_to_0_and_the_adversary_rises_from_0_to_1() -> None:
    rates = [poly(step, 10, 0.9) for step in range(11)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (1, 0)
    strengths = [rising(step / 10) for step in range(11)]
    assert strengths == sorted(strengths)
    assert strengths[0] == 0
    assert strengths[-1] == pytest.approx(1, abs=1e-3)


def test_the_teacher_follows_the_student_and_is_never_trained() -> None:
    student = torch.nn.Linear(2, 2)
    teacher = make_teacher(student)
    before = teacher.weight.clone()
    with torch.no_grad():
        student.weight += 1
    follow(teacher, student, 0.75)
    assert torch.allclose(teacher.weight, before + 0.25)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_rare_classes_weigh_more_and_one_pixel_weighs_1_in_the_mean() -> None:
    found = torch.tensor([0.9, 0.1, 0.0], dtype=torch.float64)
    result = weights(found, 0.5)
    assert float(result[1]) == pytest.approx(3 * float(result[0]))
    assert float((result * found).sum()) == pytest.approx(1)
    assert float(result[2]) == float(result[1])
    assert never_seen(found, ("a", "b", "c")) == ["c"]
    assert weights(torch.zeros(2, dtype=torch.float64), 0.5).tolist() == [1, 1]


def test_iou_is_that_of_a_case_counted_by_hand() -> None:
    truth = torch.tensor([0, 0, 0, 1, 1, IGNORE])
    predicted = torch.tensor([0, 0, 1, 1, 0, 2])
    found = accuracy(confusion(predicted, truth, 3), THREE)
    assert found.by_class[:2] == pytest.approx((2 / 4, 1 / 3))
    assert found.mean() == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_a_class_that_never_appears_is_named_and_not_in_the_mean() -> None:
    found = accuracy(confusion(torch.tensor([0, 1]), torch.tensor([0, 1]), 3), THREE)
    assert found.absent() == ("c",)
    assert found.mean() == 1
    assert math.isnan(found.hard_mean())


def test_class_sets_are_consistent() -> None:
    for classes in (STREET, CITYSCAPES):
        assert len(classes.names) == len(classes.colours) == len(set(classes.colours))
        assert classes.hard <= set(classes.names)
    assert len(CITYSCAPES) == 19


def test_pixels_without_label_make_the_loss_smaller_not_another_mean() -> None:
    scores = torch.zeros(1, 2, 1, 4)
    full = label_loss(scores, torch.zeros(1, 1, 4, dtype=torch.long))
    half = label_loss(scores, torch.tensor([[[0, 0, IGNORE, IGNORE]]]))
    none = label_loss(scores, torch.full((1, 1, 4), IGNORE))
    assert float(half) == pytest.approx(float(full) / 2)
    assert float(none) == 0
