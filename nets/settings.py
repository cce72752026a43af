"""What a net is: the settings that travel inside its weights file and rebuild it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import partial

from mot.errors import InputError, require_setting
from nets.layers import INITS, NORMS

FUSE_DEPTHS = ("input", "4", "8", "16", "none")
VIEW_FROM = ("pixels", "features", "density")
HEADS = ("density", "centre", "box", "motion", "seg", "keypoints")
DEEPEST_STRIDES = (8, 16, 32)
OUTPUT_STRIDES = (4, 8, 16, 32)
PADDINGS = ("edge", "zeros")


@dataclass(frozen=True)
class NetSettings:
    """Shape of a net.

    Raises:
        InputError: two settings contradict each other, or a value is out of range.
    """

    net: str = "frame_stack"
    """Which net: frame_stack, side, top, triplane."""
    backbone: str = "vgg16"
    """Trunk of the net: vgg16, resnet18, resnet50, seresnet50, mobilenetv2, osnet, small."""
    frames: int = 5
    """Frames per clip, T: the net sees and predicts this many at once."""
    fuse: str = "input"
    """Where the T frames meet: at the input (3T channels), at stride 4, 8 or 16, or never."""
    mixer: bool = False
    """Mix the T frames' deepest features along time (1-D depthwise convolution); for fuse none."""
    width: float = 0.25
    """Multiplier on the trunk's channels; image weights need 1."""
    norm: str = "batch"
    """Normalisation in the trunk: batch, group or none (none = convolutions with biases)."""
    init: str = "he"
    """How random weights of the trunk are drawn: he (variance is kept), torch (that library's own,
    0.41 of that deviation) or small (deviation 0.01, as nets were started in 2014)."""
    deepest: int = 16
    """Stride of the trunk's deepest feature map: 8, 16 or 32."""
    stride: int = 4
    """Input pixels per output cell: 4, 8, 16 or 32."""
    neck_channels: int = 64
    """Channels of the top-down path that the heads read."""
    neck_levels: int = 0
    """Levels of the top-down path above the trunk's deepest map, each half the size of the one
    below: a wider view of large people for little work."""
    neck_norm: str = "batch"
    """Normalisation in neck and heads: batch, group or none."""
    heads: tuple[str, ...] = ("density", "centre", "box")
    """Output maps: density alone is the net of 2019; centre and box give detections."""
    keypoints: tuple[str, ...] = ()
    """Names of the points that the keypoints head maps, in order; none = those of the data."""
    activation: str = "softplus"
    """Keeps the density at or above 0: softplus, or relu, which can die, as in 2019."""
    view_from: str = "pixels"
    """What the blocks of side and top see of a frame: pixels (through the trunk's first stages),
    or, as a second stage behind a frame net, its features or its density."""
    view_blocks: int = 3
    """Blocks over time of side, top and triplane; each sees one frame further to either side."""
    view_channels: int = 8
    """Channels per cell inside the blocks of side, top and triplane."""
    view_shortcut: bool = True
    """Add what enters such a block to what leaves it; off as in 2019."""
    time_padding: str = "edge"
    """Beyond a clip's ends stands for such a block: edge, the end's frame, or zeros, as in 2019."""
    strip: int = 16
    """Cells of width (side) or height (top) that become channels together."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple(self.heads))
        object.__setattr__(self, "keypoints", tuple(self.keypoints))
        object.__setattr__(self, "fuse", str(self.fuse))
        require = partial(require_setting, self)
        require("frames", self.frames >= 1, "at least 1")
        require("fuse", self.fuse in FUSE_DEPTHS, f"one of {', '.join(FUSE_DEPTHS)}")
        require("width", 0 < self.width <= 4, "a factor in (0, 4]")
        for name in ("norm", "neck_norm"):
            require(name, getattr(self, name) in NORMS, "batch, group or none")
        require("init", self.init in INITS, f"one of {', '.join(INITS)}")
        require("deepest", self.deepest in DEEPEST_STRIDES, "8, 16 or 32")
        require("stride", self.stride in OUTPUT_STRIDES, "4, 8, 16 or 32")
        require("stride", self.stride <= self.deepest, f"a stride up to --deepest {self.deepest}")
        require("neck_channels", self.neck_channels >= 8, "at least 8")
        require("neck_levels", 0 <= self.neck_levels <= 3, "0 to 3")
        self._check_heads()
        require("activation", self.activation in ("softplus", "relu"), "softplus or relu")
        deep_enough = self.fuse in ("input", "none") or int(self.fuse) <= self.deepest
        require("fuse", deep_enough, f"a stride up to --deepest {self.deepest}")
        require("mixer", not self.mixer or self.fuse == "none", "--fuse none beside --mixer")
        self._check_views()

    @property
    def stacked(self) -> int:
        """Frames that the trunk takes as one image."""
        return self.frames if self.net == "frame_stack" and self.fuse == "input" else 1

    def _check_views(self) -> None:
        require = partial(require_setting, self)
        stack = self.net == "frame_stack"
        alone = f"left out beside --net {self.net}, which keeps frames apart"
        require("fuse", stack or self.fuse in ("input", "none"), alone)
        require("view_from", self.view_from in VIEW_FROM, f"one of {', '.join(VIEW_FROM)}")
        planes = self.net in ("side", "top") or self.view_from == "pixels"
        require("view_from", planes, "--net side or top, where it is not pixels")
        require("view_blocks", self.view_blocks >= 1, "at least 1")
        require("view_channels", self.view_channels >= 1, "at least 1")
        require("strip", self.strip >= 2, "at least 2 cells")
        require("time_padding", self.time_padding in PADDINGS, f"one of {', '.join(PADDINGS)}")

    def _check_heads(self) -> None:
        known = bool(self.heads) and set(self.heads) <= set(HEADS)
        require_setting(self, "heads", known, f"a selection of {', '.join(HEADS)}")
        once = len(set(self.heads)) == len(self.heads)
        require_setting(self, "heads", once, "each head once")
        box_alone = "box" in self.heads and "centre" not in self.heads
        require_setting(self, "heads", not box_alone, "box together with centre")
        mapped = "keypoints" in self.heads or not self.keypoints
        require_setting(self, "keypoints", mapped, "no points without a keypoints head")
        moves = "motion" not in self.heads or self.frames > 1
        require_setting(self, "heads", moves, "no motion head where --frames is 1")

    def to_json(self) -> str:
        """Write the settings as one line of JSON, for a weights file's metadata."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: object = "net settings") -> NetSettings:
        """Read what `to_json` wrote.

        Raises:
            InputError: not JSON, fields that this version does not know, or unusable values.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(where, "net settings as JSON", error, "train the net again") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            raise InputError(where, f"settings among {sorted(known)}", text, "update Footfall")
        try:
            return cls(**values)
        except TypeError as error:
            remedy = "train the net again"
            raise InputError(where, "net settings of the right types", error, remedy) from error
