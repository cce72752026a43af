"""Trunks by name: images to a pyramid of feature maps, at strides 4, 8, 16 and 32.

A new trunk is one generator of stages in a file of its own and one line in `MENU`. Layers carry
torchvision's names behind `stages.N.`, so that published image weights find their places
(`nets.weights`).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mot.errors import InputError
from nets.layers import NORMS, Layers
from nets.mobilenet import mobilenetv2
from nets.osnet import osnet
from nets.resnet import resnet18, resnet50, seresnet50
from nets.small import small
from nets.vgg import vgg16

STRIDES = (4, 8, 16, 32)
# Statistics of ImageNet's training images in 0..255, RGB: what published trunks were trained with.
IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)

Stages = Iterator[tuple[nn.Module, int]]
MENU: dict[str, Callable[[Layers], Stages]] = {
    "vgg16": vgg16,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "seresnet50": seresnet50,
    "mobilenetv2": mobilenetv2,
    "osnet": osnet,
    "small": small,
}


class Backbone(nn.Module):
    """A trunk of stages.

    Attributes:
        stages: stage i maps the previous stage's output (the normalised image for i = 0) to a
            feature map (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])).
        channels: output channels of each stage.
        strides: input pixels per cell of each stage's output.
        mean, std: (1, 3, 1, 1) buffers, statistics of RGB in 0..255; saved with the weights.
        name, in_channels, width, norm: what it was built from.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, layers: Layers, deepest: int | None) -> None:
        super().__init__()
        self.name = name
        self.in_channels, self.width, self.norm = layers.in_channels, layers.width, layers.norm
        wanted = STRIDES[: STRIDES.index(deepest) + 1] if deepest else STRIDES
        # MENU yields stages one by one: those that are not asked for are never built.
        built = list(zip(wanted, MENU[name](layers), strict=False))
        self.stages = nn.ModuleList(stage for _, (stage, _) in built)
        self.channels = tuple(channels for _, (_, channels) in built)
        self.strides = tuple(stride for stride, _ in built)
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """Subtract the mean and divide by the deviation, for each of k stacked frames.

        Args:
            images: float (B, 3 · k, H, W), RGB in 0..255.

        Returns:
            The same shape, about zero mean and unit variance over natural images.
        """
        scale = self.std.reciprocal()
        # A number, not the images' own length: an exported graph holds the result as a constant.
        repeats = (1, self.in_channels // 3, 1, 1)
        return torch.addcmul((-self.mean * scale).repeat(repeats), images, scale.repeat(repeats))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images (B, in_channels, H, W), RGB in 0..255, to every stage's output."""
        features = self.normalise(images)
        pyramid = []
        for stage in self.stages:
            features = stage(features)
            pyramid.append(features)
        return pyramid


def build_backbone(
    name: str,
    *,
    in_channels: int = 3,
    width: float = 1.0,
    norm: str = "batch",
    deepest: int | None = None,
    init: str = "he",
) -> Backbone:
    """Build a trunk with random weights (from torch's generator: seed it for the same ones).

    Args:
        name: a key of `MENU`.
        in_channels: 3 per stacked frame.
        width: multiplier on the channels.
        norm: batch, group or none; without one, convolutions carry biases.
        deepest: stride of the last stage, deeper ones are not built; None = the whole trunk.
        init: how weights start, a key of `nets.layers.INITS`.

    Raises:
        InputError: an unknown name or normalisation, or a value out of range.
    """
    checks = (
        ("--backbone", name in MENU, f"one of {', '.join(MENU)}", name),
        ("--norm", norm in NORMS, f"one of {', '.join(NORMS)}", norm),
        ("--deepest", deepest in (None, *STRIDES), f"one of {STRIDES}", deepest),
        ("--width", width > 0, "a factor above 0", width),
        ("in_channels", in_channels > 0 and in_channels % 3 == 0, "3 per frame", in_channels),
    )
    for where, holds, expected, got in checks:
        if not holds:
            raise InputError(where, expected, got, "change this setting")
    trunk = Backbone(name, Layers(in_channels, width, norm, init), deepest)
    if deepest not in (None, trunk.strides[-1]):
        expected = f"at most {trunk.strides[-1]}, where {name} ends"
        raise InputError("--deepest", expected, deepest, "lower --deepest")
    return trunk
