import math

import pytest
import torch

from mot.errors import InputError
from nets.backbones import MENU as BACKBONES
from nets.frame_stack import FrameStack, TemporalMixer
from nets.heads import CHANNELS
from nets.menu import MENU, build_net
from nets.settings import FUSE_DEPTHS, NetSettings

# Mean and deviation of each map of the net below, seeds 0 and 1.
GOLDEN = {
    "density": [0.999933, 3.653456e-03],
    "centre": [-4.59909, 0.00127839],
    "box": [23.9999, 0.0060105],
    "motion": [-0.000367649, 0.00212203],
}


def tiny(**changes):
    values = {"width": 0.125, "neck_channels": 8, "frames": 3} | changes
    torch.manual_seed(0)
    return build_net(NetSettings(**values)).eval()


def clips(frames=3, batch=1, height=33, width=50, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(batch, frames, 3, height, width, generator=generator)


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("fuse", FUSE_DEPTHS)
@pytest.mark.parametrize("frames", [1, 3, 5])
@torch.no_grad()
def test_maps_have_the_shapes_of_the_contract(fuse, stride, frames):
    heads = ("density", "centre", "box") + (("motion",) if frames > 1 else ())
    net = tiny(fuse=fuse, stride=stride, frames=frames, heads=heads)
    for height, width in ((32, 64), (33, 50), (17, 31)):
        maps = net(clips(frames, 2, height, width))
        cells = (math.ceil(height / stride), math.ceil(width / stride))
        assert {name: tuple(value.shape) for name, value in maps.items()} == {
            name: (2, frames, CHANNELS[name], *cells) for name in heads
        }
        assert (maps["density"] >= 0).all()


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_every_trunk_carries_the_net(backbone, norm):
    deepest = 16 if backbone == "osnet" else 32
    maps = tiny(backbone=backbone, norm=norm, frames=2, deepest=deepest)(clips(2))
    assert all(torch.isfinite(value).all() for value in maps.values())


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_the_untrained_net_holds_the_unit_as_mass(backbone):
    net = tiny(backbone=backbone).train()
    net.density_head.set_unit(0.01)
    density = net(clips(height=32, width=64))["density"]
    assert density.sum().item() == pytest.approx(0.01 * density.numel(), rel=0.1)


@torch.no_grad()
def test_uint8_and_float_frames_are_the_same():
    net = tiny()
    frames = clips().round()
    torch.testing.assert_close(net(frames)["density"], net(frames.byte())["density"])


@torch.no_grad()
def test_without_fusion_frames_know_nothing_of_each_other():
    net = tiny(fuse="none")
    frames = clips()
    order = [2, 0, 1]
    for name, value in net(frames).items():
        torch.testing.assert_close(net(frames[:, order])[name], value[:, order], msg=name)


@pytest.mark.parametrize("fuse", ["input", "4", "8", "16"])
@torch.no_grad()
def test_with_fusion_every_frame_sees_all(fuse):
    net = tiny(fuse=fuse, heads=("density",))
    frames = clips()
    changed = frames.clone()
    changed[:, 2] = 255 - changed[:, 2]
    assert (net(frames)["density"][:, 0] - net(changed)["density"][:, 0]).abs().max() > 1e-6


@torch.no_grad()
def test_the_mixer_starts_as_nothing_and_then_mixes_neighbours():
    mixer = TemporalMixer(4, frames=5)
    features = torch.randn(10, 4, 3, 2)
    assert torch.equal(mixer(features), features)
    mixer.weight[:, 0, 0, 0] = 1.0  # adds the frame before
    mixed = mixer(features).reshape(2, 5, 4, 3, 2)
    before = features.reshape(2, 5, 4, 3, 2)
    torch.testing.assert_close(mixed[:, 0], before[:, 0])
    torch.testing.assert_close(mixed[:, 1:], before[:, 1:] + before[:, :-1])


@torch.no_grad()
def test_a_net_with_a_mixer_starts_as_the_net_without():
    plain, mixing = tiny(fuse="none"), tiny(fuse="none", mixer=True)
    missing, unexpected = mixing.load_state_dict(plain.state_dict(), strict=False)
    assert (missing, unexpected) == (["mixer.weight"], [])
    torch.testing.assert_close(mixing(clips())["density"], plain(clips())["density"])


def test_golden_outputs():
    """Values of this version: shipped weights depend on every layer keeping its meaning."""
    net = tiny(heads=("density", "centre", "box", "motion"))
    with torch.no_grad():
        maps = net(clips(batch=2))
    found = {name: [value.mean().item(), value.std().item()] for name, value in maps.items()}
    for name, values in GOLDEN.items():
        assert found[name] == pytest.approx(values, rel=1e-3), name


def test_a_clip_of_another_length_is_refused():
    with pytest.raises(InputError, match="clips"):
        tiny()(clips(frames=2))


def test_the_density_head_is_there_only_if_asked_for():
    assert tiny(heads=("centre",)).density_head is None
    assert tiny(heads=("density",)).density_head is not None


def test_unknown_nets_and_trunks_are_named():
    with pytest.raises(InputError, match=r"--net: expected one of frame_stack, .*got unet"):
        build_net(NetSettings(net="unet"))
    with pytest.raises(InputError, match=r"--backbone: expected one of vgg16, .*got alexnet"):
        build_net(NetSettings(backbone="alexnet"))
    assert MENU["frame_stack"] is FrameStack
