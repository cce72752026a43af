"""ResNet-18, ResNet-50 and SE-ResNet-50 as trunks, with torchvision's layer names.

Residual networks: He et al., arXiv:1512.03385 (stride in the 3×3 convolution, as torchvision has
it); squeeze and excitation: Hu et al., arXiv:1709.01507.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from nets.layers import Layers

STEM_CHANNELS = 64
STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4  # output over inner channels of a bottleneck
SQUEEZE = 16  # channels over squeezed channels
# Gates start at sigmoid(2) = 0.88: nearly open, so that the weights of a plain ResNet-50 keep
# their meaning, yet with a gradient five times that of an all but saturated gate.
GATE_BIAS = 2.0


class SqueezeExcitation(nn.Module):
    """Gate each channel by what the whole map holds: mean, two 1×1 convolutions, sigmoid."""

    def __init__(self, channels: int, *, bias: float = GATE_BIAS) -> None:
        super().__init__()
        squeezed = max(1, channels // SQUEEZE)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        nn.init.kaiming_normal_(self.fc1.weight, nonlinearity="relu")
        nn.init.normal_(self.fc2.weight, std=0.01)
        for layer, start in ((self.fc1, 0.0), (self.fc2, bias)):
            nn.init.constant_(layer.bias, start)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        means = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(
        self, layers: Layers, channels_in: int, inner: int, stride: int, gain: float
    ) -> None:
        super().__init__()
        self.conv1 = layers.conv(channels_in, inner, 3, stride=stride)
        self.bn1 = layers.normaliser(inner)
        self.conv2 = layers.conv(inner, inner, 3, gain=gain)
        self.bn2 = layers.normaliser(inner)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(layers, channels_in, inner, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, inner, ceil(h / stride), ceil(w / stride))."""
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.bn2(self.conv2(inner))
        return self.relu(inner + shortcut)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution beside a shortcut, optionally gated per channel."""

    def __init__(
        self,
        layers: Layers,
        channels_in: int,
        inner: int,
        stride: int,
        gain: float,
        *,
        gated: bool = False,
    ) -> None:
        super().__init__()
        channels = inner * EXPANSION
        self.conv1 = layers.conv(channels_in, inner, 1)
        self.bn1 = layers.normaliser(inner)
        self.conv2 = layers.conv(inner, inner, 3, stride=stride)
        self.bn2 = layers.normaliser(inner)
        self.conv3 = layers.conv(inner, channels, 1, gain=gain)
        self.bn3 = layers.normaliser(channels)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcitation(channels) if gated else None
        self.downsample = _shortcut(layers, channels_in, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, 4 · inner, ceil(h / stride), ceil(w / stride))."""
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        if self.se is not None:
            inner = self.se(inner)
        return self.relu(inner + shortcut)  # type: ignore[no-any-return]


def _shortcut(layers: Layers, channels_in: int, channels: int, stride: int) -> nn.Module | None:
    """1×1 convolution where a block changes stride or channels, else nothing."""
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(
        layers.conv(channels_in, channels, 1, stride=stride), layers.normaliser(channels)
    )


Block = type[BasicBlock] | type[Bottleneck] | partial[Bottleneck]


def _stages(
    layers: Layers, block: Block, depths: tuple[int, ...], expansion: int
) -> Iterator[tuple[nn.Module, int]]:
    """Yield stages of stride 4, 8, 16, 32: the stem with layer1, then layer2, layer3, layer4."""
    channels = layers.channels(STEM_CHANNELS)
    stage: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=layers.conv(layers.in_channels, channels, 7, stride=2),
        bn1=layers.normaliser(channels),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    gain = layers.branch_gain(sum(depths))
    for number, (published, depth) in enumerate(zip(STAGE_CHANNELS, depths, strict=True), start=1):
        inner = layers.channels(published)
        blocks: list[nn.Module] = []
        for index in range(depth):
            stride = 2 if index == 0 and number > 1 else 1
            blocks.append(block(layers, channels, inner, stride, gain))
            channels = inner * expansion
        stage[f"layer{number}"] = nn.Sequential(*blocks)
        yield nn.Sequential(stage), channels
        stage = OrderedDict()


def resnet18(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield the stages of ResNet-18 with their output channels."""
    return _stages(layers, BasicBlock, (2, 2, 2, 2), expansion=1)


def resnet50(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield the stages of ResNet-50 with their output channels."""
    return _stages(layers, Bottleneck, (3, 4, 6, 3), expansion=EXPANSION)


def seresnet50(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield the stages of SE-ResNet-50 with their output channels."""
    gated = partial(Bottleneck, gated=True)
    return _stages(layers, gated, (3, 4, 6, 3), expansion=EXPANSION)
