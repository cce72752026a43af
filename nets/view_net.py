"""What the nets over planes of time share: a stem per frame, blocks over the clip, heads per frame.

Time enters in the blocks alone, so that a net takes any number of frames, whatever it was trained
on; `settings.frames` is how many a training and a prediction hand it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mot.shapes import expect
from nets.backbones import build_backbone
from nets.clip_net import ClipNet
from nets.heads import DensityHead, Heads, Neck, conv_norm_relu
from nets.layers import Layers
from nets.settings import NetSettings

FIRST_STAGE = "heads.maps.density."  # a frame net's density head, as its weights name it


class ViewNet(ClipNet):
    """Stem per frame, blocks over the clip, heads per frame; see `nets.clip_net.ClipNet`.

    The stem is, by `--view-from`:
        pixels: the trunk's first stages, to the output stride (`light`), or the whole frame net.
        features: the trunk to `--deepest` and the neck, a frame net's features.
        density: these and a frame net's density head: the blocks see its map and nothing else.

    Args:
        settings: shape of the net.
        blocks: modules that take (features (B·T, C, h, w), T) and return the same shape, C being
            `settings.neck_channels`.
        light: whether the stem from pixels ends at the output stride.
    """

    def __init__(self, settings: NetSettings, blocks: Iterable[nn.Module], *, light: bool) -> None:
        super().__init__(settings)
        light = light and settings.view_from == "pixels"
        self.trunk = build_backbone(
            settings.backbone,
            width=settings.width,
            norm=settings.norm,
            deepest=settings.stride if light else settings.deepest,
            init=settings.init,
        )
        channels, norm = settings.neck_channels, settings.neck_norm
        self.finest = self.trunk.strides.index(settings.stride)
        finer_first = self.trunk.channels[self.finest :]
        self.neck = Neck(
            finer_first,
            channels,
            expand=None,
            frames=settings.frames,
            norm=norm,
            higher=settings.neck_levels,
        )
        self.first_stage: DensityHead | None = None
        if settings.view_from == "density":
            self.first_stage = DensityHead(channels, 1, activation=settings.activation, norm=norm)
            self.lift = conv_norm_relu(1, channels, norm=norm)
        self.blocks = nn.ModuleList(blocks)
        self.heads = Heads(
            settings.heads,
            channels,
            activation=settings.activation,
            frames=settings.frames,
            merged=False,
            norm=norm,
            keypoints=len(settings.keypoints),
        )

    def renamed(self, earlier: dict[str, Tensor]) -> dict[str, Tensor]:
        """A frame net's density head becomes the first stage, where there is one."""
        own_stage = any(name.startswith("first_stage.") for name in earlier)
        if self.first_stage is None or own_stage:
            return earlier
        start = len(FIRST_STAGE)
        return {
            f"first_stage.{name[start:]}" if name.startswith(FIRST_STAGE) else name: value
            for name, value in earlier.items()
        }

    def stem(self, images: Tensor) -> Tensor:
        """Map frames (N, 3, H, W) to features (N, C, h, w), each frame for itself."""
        features = self.trunk.normalise(images).contiguous(memory_format=torch.channels_last)
        pyramid = []
        for stage in self.trunk.stages:
            features = stage(features)
            pyramid.append(features)
        path: Tensor = self.neck(pyramid[self.finest :])
        if self.first_stage is None:
            return path
        in_units: Tensor = self.first_stage(path) / self.first_stage.unit
        lifted: Tensor = self.lift(in_units)
        return lifted

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """Predict the maps of clips (B, T, 3, H, W), of any T."""
        size = expect(clips, "B T 3 H W", "clips")
        frames = size["T"]
        images = clips.float().reshape(size["B"] * frames, 3, size["H"], size["W"])
        features = self.stem(images)
        for block in self.blocks:
            features = block(features, frames)
        maps: dict[str, Tensor] = self.heads(features, frames)
        return maps


class TimeBlock(nn.Module):
    """Residual bottleneck around a convolution over time; nothing but a shortcut before training.

    Without its shortcut (`view_shortcut`) it is three layers in a row that start at random.

    Args:
        settings: of the net.
        over_time: takes (features (B·T, view_channels, h, w), T) and returns the same shape.
    """

    def __init__(self, settings: NetSettings, over_time: nn.Module) -> None:
        super().__init__()
        channels, inner = settings.neck_channels, settings.view_channels
        self.reduce = conv_norm_relu(channels, inner, 1, settings.neck_norm)
        self.over_time = over_time
        self.norm = Layers(norm=settings.neck_norm).normaliser(inner)
        self.expand = nn.Conv2d(inner, channels, 1, bias=False)
        self.shortcut = settings.view_shortcut
        if self.shortcut:
            nn.init.zeros_(self.expand.weight)
        else:
            nn.init.kaiming_normal_(self.expand.weight, nonlinearity="relu")

    def forward(self, features: Tensor, frames: int) -> Tensor:
        """Map (B·T, C, h, w) to the same shape."""
        seen = self.over_time(self.reduce(features), frames)
        found: Tensor = self.expand(torch.relu(self.norm(seen)))
        return features + found if self.shortcut else torch.relu(found)


def beside_time(features: Tensor, dim: int, padding: str) -> Tensor:
    """Put a frame before the first and one behind the last along axis `dim`, for a kernel of 3.

    Args:
        features: with the frames along `dim`.
        dim: the axis.
        padding: edge (the first and the last frame again) or zeros, which tell a net which frames
            are at the block's ends, whatever they show.
    """
    count = features.shape[dim]
    first, last = features.narrow(dim, 0, 1), features.narrow(dim, count - 1, 1)
    if padding == "zeros":
        first, last = torch.zeros_like(first), torch.zeros_like(last)
    return torch.cat([first, features, last], dim=dim)
