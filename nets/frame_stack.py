"""The frame-stack net: T frames in, T frames' maps out, with a choice of where the frames meet.

`fuse input` is the net of 2019 (3T → T channels): one pass for T frames. Later fusion keeps the
frames apart for longer: a stem per frame up to stride 4, 8 or 16, or a whole trunk per frame.
"""

from typing import cast

import torch
from torch import Tensor, nn

from mot.shapes import expect
from nets.backbones import build_backbone
from nets.clip_net import ClipNet
from nets.heads import Heads, Neck
from nets.settings import NetSettings

MIXER_KERNEL = 3  # frames


class TemporalMixer(nn.Module):
    """Depthwise 1-D convolution along T, identity before training."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.weight = nn.Parameter(torch.zeros(channels, 1, MIXER_KERNEL, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B·T, C, h, w) to the same shape."""
        count, channels, height, width = features.shape
        clips = features.reshape(-1, self.frames, channels, height * width).transpose(1, 2)
        mixed = nn.functional.conv2d(
            clips, self.weight, padding=(MIXER_KERNEL // 2, 0), groups=channels
        )
        return features + mixed.transpose(1, 2).reshape(count, channels, height, width)


class FrameStack(ClipNet):
    """Trunk, neck and heads over clips of T frames; see `nets.clip_net.ClipNet`."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__(settings)
        frames, fuse = settings.frames, settings.fuse
        stacked = frames if fuse == "input" else 1
        self.trunk = build_backbone(
            settings.backbone,
            in_channels=3 * stacked,
            width=settings.width,
            norm=settings.norm,
            deepest=settings.deepest,
            init=settings.init,
        )
        strides, channels = self.trunk.strides, self.trunk.channels
        self.merge_at = None if fuse in ("input", "none") else strides.index(int(fuse))
        self.merge = self._build_merge(channels)
        self.mixer = TemporalMixer(channels[-1], frames) if settings.mixer else None
        self.finest = strides.index(settings.stride)
        expand = None
        if self.merge_at is not None and self.merge_at > self.finest:
            expand = self.merge_at - self.finest
        self.neck = Neck(
            channels[self.finest :],
            settings.neck_channels,
            expand=expand,
            frames=frames,
            norm=settings.neck_norm,
            higher=settings.neck_levels,
        )
        merged = fuse == "input" or (self.merge_at is not None and expand is None)
        self.heads = Heads(
            settings.heads,
            settings.neck_channels,
            activation=settings.activation,
            frames=frames,
            merged=merged,
            norm=settings.neck_norm,
            keypoints=len(settings.keypoints),
        )

    def _build_merge(self, channels: tuple[int, ...]) -> nn.Conv2d | None:
        """1×1 convolution T·C → C that starts as the mean over frames plus a little noise."""
        if self.merge_at is None:
            return None
        count, frames = channels[self.merge_at], self.settings.frames
        merge = nn.Conv2d(frames * count, count, 1)
        nn.init.normal_(merge.weight, std=0.3 / (frames * count) ** 0.5)
        with torch.no_grad():
            merge.weight[:, :, 0, 0] += torch.eye(count).repeat(1, frames) / frames
        nn.init.zeros_(cast(Tensor, merge.bias))
        return merge

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """Predict the maps of clips (B, T, 3, H, W)."""
        size = expect(clips, f"B {self.settings.frames} 3 H W", "clips")
        batch, frames = size["B"], self.settings.frames
        images = clips.float()
        if self.settings.fuse == "input":
            features = images.reshape(batch, 3 * frames, size["H"], size["W"])
        else:
            features = images.reshape(batch * frames, 3, size["H"], size["W"])
        features = self.trunk.normalise(features)
        features = features.contiguous(memory_format=torch.channels_last)
        pyramid = []
        for index, stage in enumerate(self.trunk.stages):
            features = stage(features)
            if index == self.merge_at and self.merge is not None:
                stacked = features.reshape(batch, -1, *features.shape[-2:])
                features = torch.relu(self.merge(stacked))
            pyramid.append(features)
        if self.mixer is not None:
            pyramid[-1] = self.mixer(pyramid[-1])
        maps: dict[str, Tensor] = self.heads(self.neck(pyramid[self.finest :]))
        return maps
