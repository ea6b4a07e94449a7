"""Adversarial alignment: reversal, class features, attention, discriminators."""

import pytest
import torch

from idpl.align.attention import ClassAttention
from idpl.align.class_features import ClassFeatures, gather, membership
from idpl.align.discriminators import ClassDiscriminators, MapDiscriminator
from idpl.align.entropy import entropy, self_information
from idpl.align.reversal import reversed_gradient
from idpl.align.subdomain import SubdomainAlignment, class_weights
from idpl.classes import IGNORE

EASY_AND_NOT = torch.tensor([True, False])


def test_reversal_changes_nothing_on_the_way_there_and_the_sign_on_the_way_back() -> None:
    values = torch.randn(3, requires_grad=True)
    turned = reversed_gradient(values, 0.5)
    assert torch.equal(turned, values)
    (turned * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [-0.5, -1.0, -1.5]


def test_entropy_is_0_where_sure_and_1_where_all_classes_are_alike() -> None:
    sure = torch.zeros(1, 4, 1, 1)
    sure[0, 0] = 1
    assert float(entropy(sure)) == pytest.approx(0, abs=1e-6)
    assert float(entropy(torch.full((1, 4, 1, 1), 0.25))) == pytest.approx(1)
    some = torch.randn(2, 4, 3, 3).softmax(1)
    assert torch.allclose(self_information(some).sum(1), entropy(some))


def test_pixels_belong_to_their_pseudo_label_and_others_to_their_probabilities() -> None:
    probabilities = torch.tensor([0.6, 0.4]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    labels = torch.tensor([[[1, IGNORE]]])
    found = membership(probabilities, labels)
    assert found[0, :, 0, 0].tolist() == [0, 1]
    assert found[0, :, 0, 1].tolist() == pytest.approx([0.6, 0.4])


def two_halves() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features 0 and 1 in two halves of a picture that is all of class 0; unsure on the right."""
    features = torch.zeros(1, 4, 4, 8)
    features[..., 4:] = 1
    probabilities = torch.zeros(1, 3, 4, 8)
    probabilities[:, 0, :, :4] = 1
    probabilities[:, :, :, 4:] = torch.tensor([0.4, 0.3, 0.3]).view(1, 3, 1, 1)
    return features, probabilities, torch.zeros(1, 4, 8, dtype=torch.long)


def test_unsure_pixels_weigh_more_in_a_class_feature() -> None:
    plain = gather(*two_halves(), entropy_weights=False)
    weighted = gather(*two_halves(), entropy_weights=True)
    assert float(plain.values[0, 0, 0]) == pytest.approx(0.5)
    assert float(weighted.values[0, 0, 0]) > 0.6
    assert plain.present.tolist() == [[True, False, False]]


def test_attention_goes_where_entropy_is() -> None:
    torch.manual_seed(1)
    attention = ClassAttention(16, 4)
    values, present = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    unsure = torch.tensor([0.1, 0.1, 0.9, 0.1, 0.1]).expand(2, 5)
    _, without = attention(values, present, None)
    _, found = attention(values, present, unsure)
    assert torch.allclose(found.sum(-1), torch.ones(2, 4, 5))
    assert bool((found[..., 2] > without[..., 2]).all())
    assert float(found[..., 2].mean()) > 1.5 * float(found[..., [0, 1, 3, 4]].mean())


def test_attention_leaves_absent_classes_out() -> None:
    attention = ClassAttention(8, 2)
    present = torch.tensor([[True, False, True]])
    _, found = attention(torch.randn(1, 3, 8), present, torch.ones(1, 3))
    assert float(found[..., 1].max()) == 0


def test_a_picture_without_any_class_gives_numbers() -> None:
    attention = ClassAttention(8, 2)
    values, found = attention(torch.randn(1, 3, 8), torch.zeros(1, 3, dtype=torch.bool), None)
    assert bool(torch.isfinite(values).all())
    assert bool(torch.isfinite(found).all())


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(ValueError, match="3 heads"):
        ClassAttention(16, 3)


def test_each_class_has_a_discriminator_of_its_own() -> None:
    torch.manual_seed(1)
    discriminators = ClassDiscriminators(3, 8)
    values = torch.randn(2, 3, 8)
    changed = values.clone()
    changed[:, 1] += 1
    before, now = discriminators(values), discriminators(changed)
    assert torch.equal(before[:, [0, 2]], now[:, [0, 2]])
    assert not torch.equal(before[:, 1], now[:, 1])


def test_a_map_discriminator_judges_place_by_place() -> None:
    assert MapDiscriminator(5)(torch.randn(2, 5, 16, 32)).shape == (2, 1, 4, 8)


def test_classes_with_high_entropy_weigh_more_and_absent_ones_nothing() -> None:
    found = ClassFeatures(
        torch.zeros(1, 3, 4), torch.tensor([[True, True, False]]), torch.tensor([[0.1, 0.7, 0.4]])
    )
    one, other, absent = class_weights(found, entropy_weights=True)[0].tolist()
    assert other > one > 0
    assert absent == 0
    assert class_weights(found, entropy_weights=False)[0].tolist() == [1, 1, 0]


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    features = torch.randn(2, 8, 8, 8)
    features[1] += 1  # what tells the difficult picture from the easy one
    probabilities = torch.randn(2, 3, 8, 8).softmax(1)
    return features, probabilities, probabilities.argmax(1)


def test_only_the_difficult_pictures_features_are_changed() -> None:
    alignment = SubdomainAlignment(3, 8, 2, attention=True, entropy_weights=True)
    features, probabilities, labels = batch()
    features.requires_grad_(True)
    alignment(features, probabilities, labels, EASY_AND_NOT, 1.0).backward()
    assert features.grad is not None
    assert float(features.grad[0].abs().max()) == 0
    assert float(features.grad[1].abs().max()) > 0


@pytest.mark.parametrize("attention", [True, False])
def test_discriminators_learn_while_features_learn_to_deceive_them(attention: bool) -> None:
    torch.manual_seed(4)
    alignment = SubdomainAlignment(3, 8, 2, attention=attention, entropy_weights=True)
    features, probabilities, labels = batch()
    shift = torch.zeros(1, 8, 1, 1, requires_grad=True)
    judge = torch.optim.Adam(alignment.parameters(), lr=0.01)

    def loss(strength: float) -> torch.Tensor:
        moved = torch.cat([features[:1], features[1:] + shift])
        return alignment(moved, probabilities, labels, EASY_AND_NOT, strength)

    before = float(loss(1.0))
    for _ in range(60):
        judge.zero_grad()
        loss(1.0).backward()
        judge.step()
    learnt = float(loss(1.0))
    assert learnt < before / 2
    deceive = torch.optim.Adam([shift], lr=0.05)
    for _ in range(30):
        deceive.zero_grad()
        loss(1.0).backward()
        deceive.step()
    assert float(loss(1.0)) > 1.5 * learnt
