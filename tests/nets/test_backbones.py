import pytest
import torch
from torch import nn

from mot.errors import InputError
from nets.backbones import MENU, build_backbone

NORMS = ("batch", "none", "group")
# Parameters without classifier, as published (torchvision; SE-ResNet-50: 28.088 M less its fc).
# torchvision's VGG16 with normalisation has 4,224 biases that the normalisation cancels: not here.
PUBLISHED = {
    ("vgg16", "none"): 14_714_688,
    ("vgg16", "batch"): 14_723_136 - 4_224,
    ("resnet18", "batch"): 11_176_512,
    ("resnet50", "batch"): 23_508_032,
    ("seresnet50", "batch"): 26_039_024,
    ("mobilenetv2", "batch"): 2_223_872,
}
# Deviation of each stage's output for seed 7, a quarter of the width, and the picture below.
GOLDEN = {
    ("vgg16", "batch"): (2.30043, 1.97143, 1.91589),
    ("vgg16", "none"): (1.85419, 2.46691, 2.40893),
    ("vgg16", "group"): (0.68363, 0.72370, 0.70185),
    ("resnet18", "batch"): (2.29711, 3.31054, 4.09459),
    ("resnet18", "none"): (1.52105, 1.65757, 1.76252),
    ("resnet18", "group"): (1.17066, 0.97357, 1.03912),
    ("resnet50", "none"): (1.94722, 1.93953, 2.24490),
    ("seresnet50", "none"): (1.62676, 1.66766, 1.82069),
    ("mobilenetv2", "batch"): (3.88712, 2.20267, 4.22780),
    ("mobilenetv2", "none"): (2.02637, 1.30169, 1.41843),
    ("osnet", "batch"): (3.18943, 3.35516, 4.72515),
    ("osnet", "none"): (1.06315, 0.85275, 0.62556),
    ("osnet", "group"): (0.95946, 0.95545, 0.57015),
    ("small", "batch"): (2.03215, 1.63927, 0.85023),
    ("small", "none"): (1.05367, 1.03104, 0.59643),
    ("small", "group"): (0.58060, 0.57402, 0.60056),
}


def picture(height=37, width=53):
    ramp = torch.linspace(0, 255, 3 * height * width).reshape(1, 3, height, width)
    return 255 * ramp.sin().abs()


@torch.no_grad()
def outputs(backbone, images):
    return backbone.eval()(images)


@pytest.mark.parametrize("name, norm", PUBLISHED)
def test_as_many_parameters_as_published(name, norm):
    backbone = build_backbone(name, norm=norm)
    assert sum(p.numel() for p in backbone.parameters()) == PUBLISHED[name, norm]
    assert backbone.strides == (4, 8, 16, 32)


@pytest.mark.parametrize("width, millions", [(1.0, 2.2), (0.75, 1.3), (0.5, 0.6), (0.25, 0.2)])
def test_osnet_is_as_large_as_in_the_paper(width, millions):
    """Table 6 of arXiv:1905.00953 counts a layer to 512 features, with its normalisation, too."""
    trunk = build_backbone("osnet", width=width)
    assert trunk.strides == (4, 8, 16)
    wide = trunk.channels[-1]
    whole = sum(p.numel() for p in trunk.parameters()) + wide * 512 + 512 + 2 * 512
    assert round(whole / 1e6, 1) == millions
    if width == 1.0:
        # The authors' counter says 2,193,616: it counts a block's gate once for each stream.
        gates = sum(p.numel() for name, p in trunk.named_parameters() if ".gate." in name)
        assert whole + 3 * gates == 2_193_616


def test_all_scales_of_an_osnet_block_share_one_gate():
    """Streams a to d look at 3, 5, 7 and 9 pixels; the gate weighs their sum."""
    torch.manual_seed(0)
    block = build_backbone("osnet", width=0.25, norm="none").stages[0].conv2[0]
    inner = torch.zeros(1, 16, 15, 15)
    inner[..., 7, 7] = 1.0
    for scale, reach in zip("abcd", (1, 2, 3, 4), strict=True):
        rows = block.get_submodule(f"conv2{scale}")(inner).abs().amax(dim=(0, 1, 3)).nonzero()
        assert 7 - int(rows.min()) <= reach and int(rows.max()) - 7 <= reach
        assert int(rows.max() - rows.min()) >= reach
    assert len([name for name, _ in block.named_modules() if name.endswith("gate")]) == 1


def test_a_trunk_that_ends_earlier_says_so():
    with pytest.raises(
        InputError, match="--deepest: expected at most 16, where osnet ends, got 32"
    ):
        build_backbone("osnet", width=0.125, deepest=32)
    assert build_backbone("osnet", width=0.125, deepest=8).strides == (4, 8)
    assert build_backbone("small", width=0.125).strides == (4, 8, 16, 32)


@pytest.mark.parametrize("name, norm", GOLDEN)
def test_golden_outputs(name, norm):
    torch.manual_seed(7)
    backbone = build_backbone(name, width=0.25, norm=norm, deepest=16)
    deviations = [float(features.std()) for features in outputs(backbone, picture())]
    assert deviations == pytest.approx(GOLDEN[name, norm], rel=1e-3)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MENU)
def test_odd_sizes_are_rounded_up(name, norm):
    backbone = build_backbone(name, in_channels=6, width=0.125, norm=norm)
    for height, width in ((37, 53), (64, 66), (33, 31)):
        pyramid = outputs(backbone, torch.rand(2, 6, height, width) * 255)
        for features, channels, stride in zip(
            pyramid, backbone.channels, backbone.strides, strict=True
        ):
            assert features.shape == (2, channels, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("name", MENU)
def test_a_one_pixel_image_is_not_too_small(name):
    backbone = build_backbone(name, width=0.125, norm="none")
    sizes = {tuple(f.shape[2:]) for f in outputs(backbone, torch.rand(1, 3, 1, 1))}
    assert sizes == {(1, 1)}


@pytest.mark.parametrize("name", MENU)
def test_channels_last_gives_the_same(name):
    torch.manual_seed(0)
    backbone = build_backbone(name, width=0.25, deepest=16)
    plain = outputs(backbone, picture())
    last = backbone.to(memory_format=torch.channels_last)
    for first, second in zip(
        plain, outputs(last, picture().contiguous(memory_format=torch.channels_last)), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("deepest, count", [(4, 1), (8, 2), (16, 3), (32, 4)])
def test_only_the_stages_asked_for_are_built(deepest, count):
    backbone = build_backbone("resnet18", width=0.125, deepest=deepest)
    assert len(backbone.stages) == len(backbone.channels) == len(backbone.strides) == count
    assert backbone.strides[-1] == deepest


def test_layers_carry_torchvisions_names():
    names = {
        "resnet18": "stages.1.layer2.0.downsample.1.running_var",
        "seresnet50": "stages.2.layer3.5.se.fc2.bias",
        "vgg16": "stages.1.features.14.weight",
        "mobilenetv2": "stages.1.features.4.conv.1.0.weight",
        "osnet": "stages.1.conv2.2.0.conv.weight",
    }
    for name, tensor in names.items():
        assert tensor in build_backbone(name, width=0.125).state_dict()
    bare = build_backbone("vgg16", width=0.125, norm="none").state_dict()
    assert "stages.1.features.10.bias" in bare and "stages.1.features.11.weight" not in bare


@pytest.mark.parametrize("name", MENU)
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    # A narrow OSNet's gates squeeze to one channel, which may start dead.
    width = 1.0 if name == "osnet" else 0.125
    backbone = build_backbone(name, width=width, deepest=16)
    backbone(torch.rand(2, 3, 32, 48) * 255)[-1].square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in backbone.parameters())


def test_without_normalisation_activations_keep_their_scale():
    torch.manual_seed(0)
    for name in MENU:
        deepest = outputs(build_backbone(name, width=0.25, norm="none"), picture(64, 64))[-1]
        assert 0.2 < float(deepest.std()) < 10, name


def test_frames_are_normalised_alike():
    backbone = build_backbone("resnet18", in_channels=9, width=0.125, deepest=4)
    one = picture()
    normal = backbone.normalise(one.repeat(1, 3, 1, 1))
    torch.testing.assert_close(normal[:, 6:], normal[:, :3])
    torch.testing.assert_close(normal[:, :3], (one - backbone.mean) / backbone.std)
    assert {"mean", "std"} <= backbone.state_dict().keys()


def test_a_stride_of_two_looks_at_the_same_cells_at_even_and_odd_sizes():
    torch.manual_seed(0)
    backbone = build_backbone("mobilenetv2", width=0.25, norm="none", deepest=8)
    image = torch.rand(1, 3, 160, 160) * 255
    even, odd = outputs(backbone, image)[-1], outputs(backbone, image[..., :155, :155])[-1]
    # Far from the border that was cut off, nothing changes (155, 78 and 39 cells: two are odd).
    torch.testing.assert_close(even[..., :8, :8], odd[..., :8, :8], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"name": "vgg19"}, {"norm": "layer"}, {"deepest": 12}, {"width": 0.0}, {"in_channels": 4}],
)
def test_settings_out_of_range(change):
    with pytest.raises(InputError):
        build_backbone(**({"name": "vgg16"} | change))


def test_narrow_channels_are_multiples_of_eight():
    backbone = build_backbone("mobilenetv2", width=0.35, deepest=16)
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert all(conv.out_channels % 8 == 0 for conv in convs)
