"""Blocks that convolve a plane of time and one axis of the picture, the other axis as channels.

The idea of 2019, literal: seen from the side, a block of frames is a picture of time and height
whose channels are the columns; seen from above, of time and width, with the rows as channels. A
kernel has a weight for each pair of columns, so a net so built is tied to the width it was trained
on. Here that width is a *strip* of `--strip` cells. A wider frame is several strips, which share
one kernel; every other block lays its strips half a strip further, so that what was a border
between two of them lies in the middle of one. A strip as wide as the training's crop makes the
first block the convolution of 2019, which still takes frames of any size. Narrow strips see each
column's weights more often: they learn from fewer clips, with fewer weights.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from nets.settings import NetSettings
from nets.view_net import TimeBlock, beside_time

KERNEL = 3  # frames, and cells
DILATIONS = (1, 2, 4)  # of the picture's axis, block by block: a person is tens of cells high


class PlaneConv(nn.Module):
    """Convolution of (T, h) with the columns of a strip as channels, or of (T, w) with its rows.

    Args:
        channels: per cell; the convolution has strip · channels of them.
        strip: cells.
        dilation: of the kernel along the picture's axis.
        before: cells that the first strip lies outside of the picture.
        rows_as_channels: the plane is (T, w).
        time_padding: of the clip's ends, edge or zeros.
    """

    def __init__(
        self,
        channels: int,
        strip: int,
        *,
        dilation: int,
        before: int,
        rows_as_channels: bool,
        time_padding: str = "edge",
    ) -> None:
        super().__init__()
        self.strip, self.before, self.time_padding = strip, before, time_padding
        # Channels come last, and last but one the axis that becomes channels.
        self.order = (0, 3, 2, 1) if rows_as_channels else (0, 2, 3, 1)
        self.back = (0, 3, 2, 1) if rows_as_channels else (0, 3, 1, 2)
        self.conv = nn.Conv2d(
            strip * channels,
            strip * channels,
            KERNEL,
            padding=(0, dilation),
            dilation=(1, dilation),
            bias=False,
        )
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B·T, c, h, w) to the same shape."""
        laid = features.permute(self.order)
        # Named as they are in the side view; in the top view rows and columns change places.
        count, height, width, channels = laid.shape
        after = -(width + self.before) % self.strip
        padded = F.pad(laid, (0, 0, self.before, after))
        strips = (width + self.before + after) // self.strip
        wide = self.strip * channels
        # (B, T, h, strips, strip · c) → (B · strips, T, h, strip · c): channels stay last.
        cut = padded.reshape(-1, frames, height, strips, wide).permute(0, 3, 1, 2, 4)
        plane = cut.reshape(-1, frames, height, wide).permute(0, 3, 1, 2)
        seen: Tensor = self.conv(beside_time(plane, 2, self.time_padding)).permute(0, 2, 3, 1)
        whole = seen.reshape(-1, strips, frames, height, wide).permute(0, 2, 3, 1, 4)
        cells = whole.reshape(count, height, -1, channels).narrow(2, self.before, width)
        return cells.permute(self.back)


def plane_blocks(settings: NetSettings, *, rows_as_channels: bool) -> Iterator[TimeBlock]:
    """Yield the blocks of a net, every other one with its strips moved by half a strip."""
    for number in range(settings.view_blocks):
        plane = PlaneConv(
            settings.view_channels,
            settings.strip,
            dilation=DILATIONS[number % len(DILATIONS)],
            before=settings.strip // 2 * (number % 2),
            rows_as_channels=rows_as_channels,
            time_padding=settings.time_padding,
        )
        yield TimeBlock(settings, plane)
