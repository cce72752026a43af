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
from nets.view_net import ViewNet

PLANES = ("H×W", "T×H", "T×W")
KERNEL = 3


class TriPlaneConv(nn.Module):
    """Depthwise convolution by three 3×3 kernels per channel, one in each plane, with gates.

    The gates are a softmax over the planes, per channel, times 3: all planes start alike, and what
    a channel came to look at can be read off. The three kernels are added up to one of three
    frames before they run: the middle frame meets a 3×3 kernel, its neighbours a cross.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.empty(len(PLANES), channels, KERNEL, KERNEL))
        self.gates = nn.Parameter(torch.zeros(len(PLANES), channels))
        nn.init.normal_(self.kernels, std=(2.0 / self.kernels[:, 0].numel()) ** 0.5)

    def shares(self) -> Tensor:
        """Weight of each plane, (3, C), of mean 1 over the planes."""
        return len(PLANES) * torch.softmax(self.gates, dim=0)

    def kernel(self) -> Tensor:
        """The sum of the three as one kernel (C, frames, rows, columns)."""
        space, side, top = (self.kernels * self.shares()[..., None, None]).unbind()
        middle = F.pad(space[:, None], (0, 0, 0, 0, 1, 1))
        return middle + F.pad(side[..., None], (1, 1)) + F.pad(top[:, :, None], (0, 0, 1, 1))

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B·T, C, h, w) to the same shape; the first and last frame stand for those beyond."""
        count, channels, height, width = features.shape
        # Reshaped to numbers, not to lengths: an exported graph must know a kernel's shape.
        kernel = self.kernel().reshape(-1, KERNEL, KERNEL, KERNEL)
        shape = (self.kernels.shape[1], 1, KERNEL, KERNEL)
        seen = [
            F.conv2d(features, taps.reshape(shape), padding=KERNEL // 2, groups=shape[0]).reshape(
                -1, frames, channels, height, width
            )
            for taps in kernel.unbind(dim=1)
        ]
        earlier = torch.cat([seen[0][:, :1], seen[0][:, :-1]], dim=1)
        later = torch.cat([seen[2][:, 1:], seen[2][:, -1:]], dim=1)
        return (earlier + seen[1] + later).reshape(count, channels, height, width)


class TriPlaneBlock(nn.Module):
    """Tri-plane convolution, normalisation, ReLU, 1×1; a residual, nothing before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.planes = TriPlaneConv(channels)
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.zeros_(self.mix.weight)

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B·T, C, h, w) to the same shape."""
        seen = torch.relu(self.norm(self.planes(features, frames)))
        mixed: Tensor = features + self.mix(seen)
        return mixed


class TriPlane(ViewNet):
    """Trunk and neck per frame, tri-plane blocks, heads; see `nets.view_net.ViewNet`."""

    def __init__(self, settings: NetSettings) -> None:
        blocks = (TriPlaneBlock(settings.neck_channels) for _ in range(settings.view_blocks))
        super().__init__(settings, blocks, light=False)

    @property
    def reach(self) -> int:
        """Frames to either side that a frame's maps depend on."""
        return self.settings.view_blocks * (KERNEL // 2)
