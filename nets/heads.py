"""Neck and heads: from a trunk's feature maps to density, centres and boxes at the output stride.

Every net is trunk → neck → heads. The neck is a top-down path (Feature Pyramid Networks,
arXiv:1612.03144); a head is a 3×3 and a 1×1 convolution with one group of channels per frame.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mot.errors import InputError
from nets.layers import Layers

CENTRE_PRIOR_BIAS = -4.6  # sigmoid gives 0.01: few cells hold a centre (focal loss, 1708.02002)
SOFTPLUS_ONE = math.log(math.e - 1.0)  # softplus(SOFTPLUS_ONE) = 1
# Of what the last layer says, before the softplus: a person's peak is tens of times the mean, which
# small steps of Adam reach late (docs/experiments.md). A power of two, so that it is exact in fp16.
DENSITY_GAIN = 8.0
BOX_SIZE_PRIOR_PX = 24.0  # distance to a box's edge before training
SEG_PRIOR_BIAS = -2.2  # sigmoid gives 0.1, about the share of a street's cells with people
CHANNELS = {"density": 1, "centre": 1, "box": 4, "motion": 2, "seg": 1}
START_BIAS = {
    "centre": CENTRE_PRIOR_BIAS,
    "box": math.log(BOX_SIZE_PRIOR_PX),
    "motion": 0.0,
    "seg": SEG_PRIOR_BIAS,
    "keypoints": 0.0,
}
LOG_DISTANCE_LIMITS = (-4.0, 8.0)  # 0.02 to 2981 px: keeps exp finite in an early training


def conv_norm_relu(
    channels_in: int, channels_out: int, kernel: int = 3, norm: str = "batch", stride: int = 1
) -> nn.Sequential:
    """Convolution of the same size over a stride, normalisation (batch, group or none), ReLU."""
    padding, bias = kernel // 2, norm == "none"
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=padding, bias=bias),
        Layers(norm=norm).normaliser(channels_out),
        nn.ReLU(inplace=True),
    )


class Neck(nn.Module):
    """Top-down path over feature maps of rising stride; returns the finest level.

    Args:
        channels_in: channels of the feature maps, finest first.
        channels: channels of every level of the path.
        higher: levels above the last feature map, each half the size of the one below, by
            convolutions of stride 2 (P6 and P7 of RetinaNet, arXiv:1708.02002).
        expand: index of a level from which on, towards finer levels, the T frames are separate:
            the merged map is spread over T maps there; None = the maps stay as they come.
        frames: T.
        norm: batch, group or none.
    """

    def __init__(
        self,
        channels_in: tuple[int, ...],
        channels: int,
        *,
        expand: int | None,
        frames: int,
        norm: str = "batch",
        higher: int = 0,
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(conv_norm_relu(c, channels, 1, norm) for c in channels_in)
        self.higher = nn.ModuleList(
            conv_norm_relu(channels, channels, norm=norm, stride=2) for _ in range(higher)
        )
        self.smooth = conv_norm_relu(channels, channels, norm=norm)
        self.expand_below = expand
        self.frames = frames
        self.spread = (
            None if expand is None else nn.Conv2d(channels, frames * channels, 1, bias=False)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Map features (N_i, C_i, h_i, w_i), finest first, to (N_0, channels, h_0, w_0)."""
        level = len(features) - 1
        path: Tensor = self._from_above(self.lateral[level](features[level]))
        for index in range(level - 1, -1, -1):
            if self.spread is not None and index + 1 == self.expand_below:
                path = self.spread(path)
                path = path.reshape(-1, path.shape[1] // self.frames, *path.shape[2:])
            lateral = self.lateral[index](features[index])
            path = _added(lateral, path)
        smoothed: Tensor = self.smooth(path)
        return smoothed

    def _from_above(self, deepest: Tensor) -> Tensor:
        """Up the higher levels and down again to the deepest feature map's."""
        levels = [deepest]
        for up in self.higher:
            levels.append(up(levels[-1]))
        path = levels.pop()
        while levels:
            path = _added(levels.pop(), path)
        return path


def _added(finer: Tensor, path: Tensor) -> Tensor:
    """A level of the path, and what comes down to it from the one above."""
    return finer + F.interpolate(path, size=finer.shape[-2:], mode="nearest")


class Head(nn.Module):
    """3×3 convolution, ReLU, 1×1 convolution to `groups` × `channels` maps that start at `bias`."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        groups: int,
        *,
        bias: float = 0.0,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        hidden = channels_in // 2  # keeps a head below a tenth of a ResNet-18 trunk's work
        self.hidden = conv_norm_relu(channels_in, hidden, norm=norm)
        self.out = nn.Conv2d(hidden, groups * channels, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            cast(Tensor, self.out.bias).fill_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, groups · channels, h, w)."""
        maps: Tensor = self.out(self.hidden(features))
        return maps


class DensityHead(Head):
    """Density in people per cell: an activation times a unit.

    Softplus of `DENSITY_GAIN` times the last layer is never flat, and with the data's mean people
    per cell as unit the untrained net already holds the data's mass. The net of 2019 is a ReLU in
    units of 1 / labelrate: its outputs start far from the data's mass and die below 0.
    """

    unit: Tensor

    def __init__(
        self, channels_in: int, groups: int, *, activation: str, norm: str = "batch"
    ) -> None:
        rectify = activation == "relu"
        bias = 0 if rectify else SOFTPLUS_ONE / DENSITY_GAIN
        super().__init__(channels_in, CHANNELS["density"], groups, bias=bias, norm=norm)
        self.register_buffer("unit", torch.tensor(1.0))
        self.rectify = rectify

    def set_unit(self, people_per_cell: float) -> None:
        """Set the density that the untrained net predicts everywhere (softplus)."""
        self.unit.fill_(people_per_cell)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to people per cell (N, groups, h, w), ≥ 0."""
        raw = super().forward(features).float()
        return (F.relu(raw) if self.rectify else F.softplus(DENSITY_GAIN * raw)) * self.unit


class Heads(nn.Module):
    """The chosen heads over one neck; outputs are split into frames.

    Args:
        names: among density, centre, box, motion, seg, keypoints.
        channels_in: channels of the neck.
        frames: T.
        activation: of the density, softplus or relu.
        merged: the neck's map holds all T frames (each head then gives T groups); otherwise it
            comes as B·T single-frame maps.
        norm: batch, group or none.
        keypoints: channels of the keypoints head, K.

    Raises:
        InputError: a keypoints head without points.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        channels_in: int,
        *,
        activation: str,
        frames: int,
        merged: bool,
        norm: str = "batch",
        keypoints: int = 0,
    ) -> None:
        super().__init__()
        groups = frames if merged else 1
        self.frames = frames
        if "keypoints" in names and not keypoints:
            raise InputError("--keypoints", "names of the points to map", "none", "name them")
        self.channels = CHANNELS | {"keypoints": keypoints}
        self.maps = nn.ModuleDict()
        for name in names:
            if name == "density":
                self.maps[name] = DensityHead(channels_in, groups, activation=activation, norm=norm)
            else:
                bias = START_BIAS[name]
                channels = self.channels[name]
                self.maps[name] = Head(channels_in, channels, groups, bias=bias, norm=norm)

    def forward(self, features: Tensor, frames: int | None = None) -> dict[str, Tensor]:
        """Map the neck's (B or B·T, C, h, w) to the dict of (B, T, channels, h, w) maps.

        Single-frame maps may be of another T than the heads were made for: `frames`.
        """
        frames = self.frames if frames is None else frames
        outputs: dict[str, Tensor] = {}
        for name, head in self.maps.items():
            raw = head(features).float()
            maps = raw.reshape(-1, frames, self.channels[name], *raw.shape[-2:])
            outputs[name] = maps.clamp(*LOG_DISTANCE_LIMITS).exp() if name == "box" else maps
        return outputs
