"""The tri-plane net: H×W, T×H and T×W kernels in one convolution of the block of frames.

It keeps the idea of the side and the top view, planes of time, and drops what tied those to one
size: no axis becomes channels, so that the weights are the same at every place and in every frame.
The trunk is shared by the frames; T, H and W are free.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets.settings import NetSettings
from nets.view_net import TimeBlock, ViewNet, beside_time

PLANES = ("H×W", "T×H", "T×W")
KERNEL = 3


class TriPlaneConv(nn.Module):
    """Convolution by three 3×3 kernels, one in each plane of (T, H, W), with gates.

    The gates are a softmax over the planes, per output channel, times 3: all planes start alike,
    and what a channel came to look at can be read off. The three kernels are added up to one over
    three frames before they run: the middle frame meets a 3×3 kernel, its neighbours a cross.
    """

    def __init__(self, channels: int, time_padding: str = "edge") -> None:
        super().__init__()
        self.channels, self.time_padding = channels, time_padding
        shape = (channels, channels, KERNEL, KERNEL)
        self.space, self.side, self.top = (nn.Parameter(torch.empty(shape)) for _ in PLANES)
        self.gates = nn.Parameter(torch.zeros(len(PLANES), channels))
        fan_in = len(PLANES) * channels * KERNEL**2
        for kernel in (self.space, self.side, self.top):
            nn.init.normal_(kernel, std=(2.0 / fan_in) ** 0.5)

    def shares(self) -> Tensor:
        """Weight of each plane, (3, channels), of mean 1 over the planes."""
        return len(PLANES) * torch.softmax(self.gates, dim=0)

    def kernel(self) -> Tensor:
        """The sum of the three as one kernel (frames, channels out, in, rows, columns)."""
        of_space, of_side, of_top = self.shares()[..., None, None, None].unbind()
        side = (of_side * self.side).movedim(2, 0)  # its rows are frames: (frames, out, in, cells)
        top = (of_top * self.top).movedim(2, 0)
        middle = F.pad((of_space * self.space)[None], (0, 0, 0, 0, 0, 0, 0, 0, 1, 1))
        return middle + F.pad(side[..., None], (1, 1)) + F.pad(top[..., None, :], (0, 0, 1, 1))

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B·T, c, h, w) to the same shape."""
        count, channels, height, width = features.shape
        clips = features.permute(0, 2, 3, 1).reshape(-1, frames, height, width, channels)
        padded = beside_time(clips, 1, self.time_padding)
        near = [padded.narrow(1, shift, frames) for shift in range(KERNEL)]
        stacked = torch.cat(near, dim=-1).reshape(count, height, width, KERNEL * channels)
        # Reshaped to numbers, not to lengths: an exported graph must know a kernel's shape.
        shape = (self.channels, KERNEL * self.channels, KERNEL, KERNEL)
        kernel = self.kernel().movedim(0, 1).reshape(shape)
        return F.conv2d(stacked.permute(0, 3, 1, 2), kernel, padding=KERNEL // 2)


class TriPlane(ViewNet):
    """Trunk and neck per frame, tri-plane blocks, heads; see `nets.view_net.ViewNet`."""

    def __init__(self, settings: NetSettings) -> None:
        blocks = (
            TimeBlock(settings, TriPlaneConv(settings.view_channels, settings.time_padding))
            for _ in range(settings.view_blocks)
        )
        super().__init__(settings, blocks, light=False)
