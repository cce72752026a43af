"""What every net over clips is: a trunk, a neck, heads, and the settings that rebuild it."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from nets.backbones import Backbone
from nets.heads import DensityHead, Heads, Neck
from nets.settings import NetSettings


class ClipNet(nn.Module):
    """A net over clips of T frames.

    Forward takes frames as (B, T, 3, H, W), RGB in 0..255 (uint8 or float), and returns the maps
    of every net here, each (B, T, C, h, w) with h = ceil(H / stride): `density` in people per
    cell, `centre` logits, `box` distances left, top, right, bottom in input pixels, `motion` in
    input pixels, `seg` logits of lying in somebody's box,
    `keypoints` logits over a map's cells.

    Attributes:
        settings: what it was built from.
        trunk, neck, heads: its parts; a training gives the trunk a rate of its own.
    """

    trunk: Backbone
    neck: Neck
    heads: Heads

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings

    @property
    def density_head(self) -> DensityHead | None:
        """The density head, if the net has one."""
        return cast(DensityHead | None, dict(self.heads.maps.items()).get("density"))

    def renamed(self, earlier: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of another net under the names that they have here."""
        return earlier
