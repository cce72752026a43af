import math

import pytest
import torch

from nets.heads import BOX_SIZE_PRIOR_PX, DensityHead, Heads, Neck


def neck_maps(batch=2, channels=16, seed=0):
    return torch.randn(batch, channels, 6, 9, generator=torch.Generator().manual_seed(seed))


def test_an_untrained_density_is_its_unit():
    torch.manual_seed(0)
    head = DensityHead(16, groups=3, activation="softplus")
    head.set_unit(0.004)
    density = head(neck_maps())
    assert density.shape == (2, 3, 6, 9)
    assert density.mean().item() == pytest.approx(0.004, rel=0.1)


@pytest.mark.parametrize("activation", ["softplus", "relu"])
def test_a_density_is_never_negative(activation):
    torch.manual_seed(0)
    head = DensityHead(16, groups=2, activation=activation)
    torch.nn.init.normal_(head.out.weight, std=30.0)
    assert (head(neck_maps()) >= 0).all()


def test_softplus_keeps_a_gradient_where_relu_dies():
    slopes = {}
    for activation in ("softplus", "relu"):
        torch.manual_seed(0)
        head = DensityHead(16, groups=1, activation=activation)
        torch.nn.init.constant_(head.out.bias, -3.0)
        head(neck_maps()).sum().backward()
        slopes[activation] = head.out.bias.grad.abs().item()
    assert slopes["softplus"] > 0
    assert slopes["relu"] == 0


def test_heads_start_at_their_priors():
    torch.manual_seed(0)
    heads = Heads(
        ("density", "centre", "box", "motion"),
        16,
        activation="softplus",
        frames=2,
        merged=True,
    )
    maps = heads(neck_maps())
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "density": (2, 2, 1, 6, 9),
        "centre": (2, 2, 1, 6, 9),
        "box": (2, 2, 4, 6, 9),
        "motion": (2, 2, 2, 6, 9),
    }
    assert torch.sigmoid(maps["centre"]).mean().item() == pytest.approx(0.01, rel=0.1)
    assert maps["box"].log().mean().item() == pytest.approx(math.log(BOX_SIZE_PRIOR_PX), rel=0.05)
    assert maps["motion"].abs().max() < 0.5


def test_boxes_stay_finite_whatever_the_net_says():
    heads = Heads(("centre", "box"), 16, activation="softplus", frames=1, merged=True)
    torch.nn.init.constant_(heads.maps["box"].out.bias, 1000.0)
    assert torch.isfinite(heads(neck_maps())["box"]).all()


def test_single_frame_features_come_out_clip_by_clip():
    heads = Heads(("density",), 16, activation="softplus", frames=3, merged=False).eval()
    features = neck_maps(batch=6)
    maps = heads(features)["density"]
    assert maps.shape == (2, 3, 1, 6, 9)
    alone = heads(features[4:5].repeat(3, 1, 1, 1))["density"]
    torch.testing.assert_close(maps[1, 1], alone[0, 0])


def test_the_neck_spreads_a_merged_level_over_the_frames():
    neck = Neck((8, 12), 16, expand=1, frames=3)
    finest = torch.randn(2 * 3, 8, 6, 10)
    merged = torch.randn(2, 12, 3, 5)
    assert neck([finest, merged]).shape == (6, 16, 6, 10)


def test_the_neck_meets_odd_sizes():
    neck = Neck((8, 12), 16, expand=None, frames=1)
    assert neck([torch.randn(1, 8, 7, 11), torch.randn(1, 12, 4, 6)]).shape == (1, 16, 7, 11)


def test_higher_levels_let_a_far_cell_speak():
    far = torch.zeros(1, 8, 9, 32)
    far[..., -1] = 5.0
    for levels, reaches in ((0, False), (3, True)):
        torch.manual_seed(0)
        neck = Neck((8,), 16, expand=None, frames=1, norm="none", higher=levels)
        with torch.no_grad():
            moved = neck([far]) - neck([torch.zeros_like(far)])
        assert moved.shape == (1, 16, 9, 32)
        assert bool((moved[..., 24] != 0).any()) is reaches
