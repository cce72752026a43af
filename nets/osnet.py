"""OSNet as a trunk (Zhou et al., arXiv:1905.00953), with the layer names of its authors' code.

Each block looks at four scales at once, through one to four "Lite" 3×3 convolutions, and a gate
that all four share decides per channel and per image how much of each scale counts. Made for
person re-identification, where a bag and a whole outfit both tell people apart. It ends at stride
16.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nets.layers import Layers
from nets.resnet import SqueezeExcitation

STEM_CHANNELS = 64
STAGE_CHANNELS = (256, 384, 512)
BLOCKS = 2  # per stage
REDUCTION = 4  # output over inner channels of a block
SCALES = "abcd"  # stream `a` has one Lite convolution, `d` has four
# Gates start half open, as published. Four streams through them have about twice the variance of
# one: where nothing normalises, the convolution behind takes that back.
GATE_BIAS = 0.0
# A linear layer needs half the variance of one with a ReLU behind it (He et al., 1502.01852).
LINEAR_GAIN = 0.5**0.5


class OmniScaleBlock(nn.Module):
    """1×1 convolution, four streams of Lite convolutions, their gated sum, 1×1; with a shortcut."""

    def __init__(
        self, layers: Layers, channels_in: int, published: int, gain: float, *, widens: bool
    ) -> None:
        super().__init__()
        channels = layers.channels(published)
        inner = layers.channels(published // REDUCTION)
        self.conv1 = _conv(layers, channels_in, inner, 1)
        self.conv2a = _lite(layers, inner)
        for depth, scale in enumerate(SCALES[1:], start=2):
            stream = nn.Sequential(*(_lite(layers, inner) for _ in range(depth)))
            self.add_module(f"conv2{scale}", stream)
        self.gate = SqueezeExcitation(inner, bias=GATE_BIAS)
        self.conv3 = _conv(layers, inner, channels, 1, gain=gain, relu=False)
        self.downsample = (
            _conv(layers, channels_in, channels, 1, gain=LINEAR_GAIN, relu=False)
            if widens
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = self.conv1(features)
        streams = [self.gate(self.get_submodule(f"conv2{scale}")(inner)) for scale in SCALES]
        return torch.relu(self.conv3(sum(streams[1:], streams[0])) + shortcut)


def _conv(
    layers: Layers,
    channels_in: int,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    gain: float = 1.0,
    relu: bool = True,
) -> nn.Sequential:
    """Convolution, normalisation and, unless linear, ReLU."""
    steps: OrderedDict[str, nn.Module] = OrderedDict(
        conv=layers.conv(channels_in, channels, kernel, stride=stride, gain=gain),
        bn=layers.normaliser(channels),
    )
    if relu:
        steps["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(steps)


def _lite(layers: Layers, channels: int) -> nn.Sequential:
    """Lite 3×3 convolution: a linear 1×1, then a depthwise 3×3 with normalisation and ReLU."""
    return nn.Sequential(
        OrderedDict(
            conv1=layers.conv(channels, channels, 1, gain=LINEAR_GAIN),
            conv2=layers.conv(channels, channels, 3, groups=channels),
            bn=layers.normaliser(channels),
            relu=nn.ReLU(inplace=True),
        )
    )


def _transition(layers: Layers, channels: int) -> nn.Sequential:
    """1×1 convolution and 2×2 mean, under the number behind the blocks that they follow."""
    halved = nn.Sequential(
        _conv(layers, channels, channels, 1),
        nn.AvgPool2d(2, ceil_mode=True),  # rounding up keeps the last row of odd sizes
    )
    return nn.Sequential(OrderedDict({str(BLOCKS): halved}))


def osnet(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield stages of stride 4, 8, 16 with their output channels; the last one has conv5.

    A stage begins with the transition that ends the authors' conv2 or conv3, so that the output of
    the stage before is not yet halved.
    """
    channels = layers.channels(STEM_CHANNELS)
    gain = layers.branch_gain(BLOCKS * len(STAGE_CHANNELS)) * LINEAR_GAIN
    stage: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=_conv(layers, layers.in_channels, channels, 7, stride=2),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    for number, published in enumerate(STAGE_CHANNELS, start=2):
        if number > 2:
            stage = OrderedDict({f"conv{number - 1}": _transition(layers, channels)})
        blocks = nn.Sequential()
        for index in range(BLOCKS):
            # Not by counting channels: a narrow trunk has the same layers as the published one.
            block = OmniScaleBlock(layers, channels, published, gain, widens=index == 0)
            blocks.append(block)
            channels = layers.channels(published)
        stage[f"conv{number}"] = blocks
        if published == STAGE_CHANNELS[-1]:
            stage["conv5"] = _conv(layers, channels, channels, 1)
        yield nn.Sequential(stage), channels
