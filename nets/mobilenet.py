"""MobileNetV2 as a trunk (Sandler et al., arXiv:1801.04381), with torchvision's layer names.

Convolutions of stride 2 look at the cells 2i, 2i+1, 2i+2: TensorFlow's SAME padding at even sizes,
which the published TensorFlow weights were trained with, and here at odd sizes too, so that a net
trained on even crops sees the same alignment everywhere. torchvision's weights were trained one
cell to the left and above; in this trunk they give the same features, displaced by less than one
output cell.
"""

from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from nets.layers import Layers

STEM_CHANNELS = 32
LAST_CHANNELS = 1280
# Per row: expansion, output channels, blocks, stride of the first block (table 2 of the paper).
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
ROWS_PER_STAGE = (2, 1, 2, 2)  # up to stride 4, 8, 16, 32


class ConvNormActivation(nn.Sequential):
    """Convolution (`0`), normalisation (`1`), ReLU6; padded as the module docstring says."""

    def __init__(
        self,
        layers: Layers,
        channels_in: int,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        padding = 0 if stride == 2 else None
        super().__init__(
            layers.conv(
                channels_in, channels, kernel, stride=stride, groups=groups, padding=padding
            ),
            layers.normaliser(channels),
            nn.ReLU6(inplace=True),
        )
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, ceil(h / stride), ceil(w / stride))."""
        if self.stride == 2:
            features = F.pad(features, (0, 2, 0, 2))  # the last one serves odd sizes only
        return super().forward(features)  # type: ignore


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise 3×3, linear 1×1 projection, with a shortcut where shapes allow."""

    def __init__(
        self,
        layers: Layers,
        channels_in: int,
        channels: int,
        stride: int,
        expansion: int,
        gain: float,
    ) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.shortcut = stride == 1 and channels_in == channels
        steps: list[nn.Module] = []
        if expansion > 1:
            steps.append(ConvNormActivation(layers, channels_in, inner, 1))
        steps.append(ConvNormActivation(layers, inner, inner, 3, stride=stride, groups=inner))
        steps.append(layers.conv(inner, channels, 1, gain=gain if self.shortcut else 1.0))
        steps.append(layers.normaliser(channels))
        self.conv = nn.Sequential(*steps)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, ceil(h / stride), ceil(w / stride))."""
        projected: Tensor = self.conv(features)
        return features + projected if self.shortcut else projected


def mobilenetv2(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield stages of stride 4, 8, 16, 32 with their output channels."""
    channels = layers.channels(STEM_CHANNELS)
    gain = layers.branch_gain(sum(blocks for _, _, blocks, _ in ROWS))
    features: OrderedDict[str, nn.Module] = OrderedDict()
    features["0"] = ConvNormActivation(layers, layers.in_channels, channels, 3, stride=2)
    index, rows = 1, iter(ROWS)
    for number, count in enumerate(ROWS_PER_STAGE, start=1):
        for expansion, published, blocks, first_stride in (next(rows) for _ in range(count)):
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                wanted = layers.channels(published)
                features[str(index)] = InvertedResidual(
                    layers, channels, wanted, stride, expansion, gain
                )
                channels, index = wanted, index + 1
        if number == len(ROWS_PER_STAGE):
            last = layers.channels(LAST_CHANNELS)
            features[str(index)] = ConvNormActivation(layers, channels, last, 1)
            channels = last
        yield nn.Sequential(OrderedDict(features=nn.Sequential(features))), channels
        features = OrderedDict()
