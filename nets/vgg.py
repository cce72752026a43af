"""VGG16 as a trunk (Simonyan and Zisserman, arXiv:1409.1556), with or without normalisation.

Layer names are torchvision's: those of vgg16_bn with a normalisation, of vgg16 without.
"""

from collections import OrderedDict
from collections.abc import Iterator

from torch import nn

from nets.layers import Layers

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FIRST_STAGE_BLOCKS = 2  # conv1 and conv2, each with its pool: stride 4


def vgg16(layers: Layers) -> Iterator[tuple[nn.Module, int]]:
    """Yield stages of stride 4, 8, 16, 32 with their output channels; each ends in its pool."""
    channels, index = layers.in_channels, 0
    features = nn.Sequential()
    for number, block in enumerate(BLOCKS, start=1):
        steps: list[nn.Module] = []
        for published in block:
            wanted = layers.channels(published)
            steps.append(layers.conv(channels, wanted, 3))
            if layers.norm != "none":
                steps.append(layers.normaliser(wanted))
            steps.append(nn.ReLU(inplace=True))
            channels = wanted
        # Rounding up keeps the last row and column of odd sizes.
        steps.append(nn.MaxPool2d(2, ceil_mode=True))
        for step in steps:
            features.add_module(str(index), step)
            index += 1
        if number >= FIRST_STAGE_BLOCKS:
            yield nn.Sequential(OrderedDict(features=features)), channels
            features = nn.Sequential()
