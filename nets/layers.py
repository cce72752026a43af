"""The pieces that every trunk is made of: convolutions that start well, and their normalisation.

A trunk's file (vgg.py, resnet.py, osnet.py …) asks one `Layers` for each layer, so that width,
normalisation and initialisation are decided in one place.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

NORMS = ("batch", "group", "none")
CHANNEL_STEP = 8  # widths are rounded to it: what vector units and tensor cores divide by
# How weights start: fan-in → deviation of normal noise.
INITS: dict[str, Callable[[int], float]] = {
    "he": lambda fan_in: (2.0 / fan_in) ** 0.5,  # He et al., arXiv:1502.01852
    # The deviation of torch's own uniform start, U(−1/√fan-in, 1/√fan-in).
    "torch": lambda fan_in: (3.0 * fan_in) ** -0.5,
    "small": lambda fan_in: 0.01,  # Simonyan and Zisserman, arXiv:1409.1556, section 3.1
}
GROUPS = 32  # groups of a group normalisation (Wu and He, arXiv:1803.08494)


@dataclass(frozen=True)
class Layers:
    """How one trunk builds its layers.

    Attributes:
        in_channels: channels of the image: 3 per stacked frame.
        width: multiplier on every channel count.
        norm: batch, group or none (none = convolutions with biases).
        init: how weights start, a name of `INITS`.
    """

    in_channels: int = 3
    width: float = 1.0
    norm: str = "batch"
    init: str = "he"

    def channels(self, published: int) -> int:
        """Scale a published channel count by the width, to a multiple of 8."""
        if self.width == 1.0:
            return published
        return max(CHANNEL_STEP, round(published * self.width / CHANNEL_STEP) * CHANNEL_STEP)

    def conv(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        gain: float = 1.0,
    ) -> nn.Conv2d:
        """Convolution whose output is ceil(input / stride), for odd kernels and its own padding.

        Weights start as normal noise of a deviation that `INITS` gives, times the gain: unless told
        otherwise sqrt(2 / fan-in). Fan-in, not fan-out: it keeps the variance through depthwise
        layers.
        """
        layer = nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride=stride,
            padding=kernel // 2 if padding is None else padding,
            groups=groups,
            bias=self.norm == "none",
        )
        fan_in = channels_in // groups * kernel**2
        nn.init.normal_(layer.weight, std=gain * INITS[self.init](fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return layer

    def normaliser(self, channels: int) -> nn.Module:
        """Normalisation of a convolution's output; an identity for norm none."""
        if self.norm == "batch":
            return nn.BatchNorm2d(channels)
        if self.norm == "group":
            return nn.GroupNorm(_groups(channels), channels)
        return nn.Identity()

    def branch_gain(self, blocks: int) -> float:
        """Gain of the last convolution of a residual branch, in a trunk of so many blocks.

        Without normalisation each block adds its branch's variance to the sum; the factor keeps
        the whole trunk's growth to about one doubling (after Fixup, arXiv:1901.09321).
        """
        return float(blocks**-0.5) if self.norm == "none" else 1.0


def _groups(channels: int) -> int:
    """Largest count up to 32 that divides the channels."""
    return next(count for count in range(min(GROUPS, channels), 0, -1) if channels % count == 0)
