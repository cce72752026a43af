import math

import pytest
import torch

from mot.errors import InputError
from reid.losses import (
    ReidLossSettings,
    batch_all,
    batch_hard,
    cosine_scale,
    pairwise_distances,
    triplet_loss,
)

A = torch.tensor


def triplets(distance, identity):
    """All (anchor, positive, negative) in loops."""
    count = range(len(identity))
    return [
        (a, p, n)
        for a in count
        for p in count
        for n in count
        if a != p and identity[a] == identity[p] and identity[a] != identity[n]
    ]


@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_mining_against_loops(seed, margin):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(9, 3, generator=generator)
    identity = torch.randint(0, 4, (9,), generator=generator)
    distance = pairwise_distances(features)
    assert torch.allclose(distance, torch.cdist(features, features), atol=1e-3)

    def hinge(gap):
        return max(0.0, gap + margin) if margin else math.log1p(math.exp(gap))

    every = triplets(distance, identity.tolist())
    losses = [hinge(float(distance[a, p] - distance[a, n])) for a, p, n in every]
    above = [loss for loss in losses if loss > 1e-12]
    assert sorted(batch_all(distance, identity, margin).tolist()) == pytest.approx(
        sorted(above), abs=1e-5
    )
    hardest = {}
    for (a, *_), loss in zip(every, losses, strict=True):
        hardest[a] = max(hardest.get(a, 0.0), loss)
    found = batch_hard(distance, identity, margin).tolist()
    assert found == pytest.approx([hardest[a] for a in sorted(hardest)], abs=1e-5)


@pytest.mark.parametrize("mining", ["hard", "all"])
@pytest.mark.parametrize("identity", [[0, 0, 0], [0, 1, 2]], ids=["one person", "all strangers"])
def test_a_batch_without_triplets_has_a_finite_gradient(mining, identity):
    features = torch.randn(3, 4, requires_grad=True)
    loss = triplet_loss(features, A(identity), ReidLossSettings(triplet=mining))
    loss.backward()
    assert loss == 0 and (features.grad == 0).all()


def test_equal_features_stand_at_the_margin_with_a_finite_gradient():
    features = torch.ones(4, 3, requires_grad=True)
    loss = triplet_loss(features, A([0, 0, 1, 1]), ReidLossSettings(margin=0.3))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3)
    assert torch.isfinite(features.grad).all()


def test_the_scale_of_the_cosine_softmax():
    assert cosine_scale(751) == pytest.approx(math.sqrt(2) * math.log(750))
    assert cosine_scale(2) > 0


def test_a_training_needs_a_loss():
    with pytest.raises(InputError, match="triplet"):
        ReidLossSettings(triplet="none", classify="none")
