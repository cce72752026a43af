"""From person crops to embeddings: trunk → pooled → batch-normalised.

Two crops of one person have embeddings with a small angle between them. The embedding is the
feature behind a batch normalisation without shift ("BNNeck", Luo et al., arXiv:1903.07071): the
triplet loss sees the feature before it, the classifier and every search the one behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mot.errors import InputError, require_setting
from mot.images import Image
from mot.shapes import expect
from nets.backbones import Backbone, build_backbone
from nets.shipped import EMBEDDER, shipped
from nets.weights import check_state, load_weights

POOL_POWER = 3.0  # start of the generalised mean's exponent (arXiv:1711.02512)
POOL_FLOOR = 1e-6  # a mean of powers needs positive features
KIND = "embedder"  # in a weights file's metadata
BATCH = 64  # crops that are embedded at once


@dataclass(frozen=True)
class EmbedderSettings:
    """Shape of an embedder; travels inside its weights file.

    Raises:
        InputError: a value out of range.
    """

    backbone: str = "resnet18"
    """Trunk: vgg16, resnet18, resnet50, seresnet50, mobilenetv2, osnet, small."""
    width: float = 1.0
    """Multiplier on the trunk's channels; image weights need 1."""
    norm: str = "batch"
    """Normalisation in the trunk: batch, group or none (none = convolutions with biases)."""
    deepest: int = 16
    """Stride of the trunk's last feature map: 8, 16 or 32; 16 keeps detail in small crops."""
    last_stride: int = 2
    """Stride of the trunk's last stage: 2, or 1 for a map of twice the height and width, which
    costs less than crops of twice the size and serves nearly as well (arXiv:1903.07071)."""
    channels: int = 256
    """Length of the feature of the whole crop."""
    stripes: int = 0
    """Horizontal stripes that are pooled apart as well (arXiv:1711.09349); together they make the
    embedding twice as long. 0 = the whole crop alone."""
    size: tuple[int, int] = (128, 64)
    """Height and width of a crop in pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(self.size))
        require = partial(require_setting, self)
        require("width", 0 < self.width <= 4, "a factor in (0, 4]")
        require("last_stride", self.last_stride in (1, 2), "1 or 2")
        require("channels", 8 <= self.channels <= 4096, "8 to 4096")
        fits = self.stripes >= 0 and self.channels % max(self.stripes, 1) == 0
        require("stripes", fits, "0, or a divisor of --channels")
        usable = len(self.size) == 2 and min(self.size) >= 16
        require("size", usable, "height and width of at least 16 pixels")

    @property
    def pieces(self) -> tuple[int, ...]:
        """Lengths of the embedding's parts: of the whole crop, then of each stripe from the top."""
        return (self.channels, *[self.channels // max(self.stripes, 1)] * self.stripes)

    def to_json(self) -> str:
        """Write the settings as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: object) -> EmbedderSettings:
        """Read what `to_json` wrote; raises InputError where it is something else."""
        remedy = "name weights that python -m reid.train wrote"
        try:
            values = json.loads(text)
            known = {field.name for field in fields(cls)}
            if not isinstance(values, dict) or not set(values) <= known:
                raise InputError(where, f"settings among {sorted(known)}", text, remedy)
            return cls(**values)
        except (TypeError, json.JSONDecodeError) as error:
            raise InputError(where, "an embedder's settings", error, remedy) from error


class Embedder(nn.Module):
    """Crops (B, 3, H, W), RGB in 0..255, to features and embeddings (B, C) each."""

    def __init__(self, settings: EmbedderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.trunk = build_backbone(
            settings.backbone,
            width=settings.width,
            norm=settings.norm,
            deepest=settings.deepest,
        )
        if settings.last_stride == 1:
            _halve_last_stride(self.trunk)
        wide = self.trunk.channels[-1]
        self.power = nn.Parameter(torch.tensor(POOL_POWER))
        self.project = (
            nn.Identity() if wide == settings.channels else nn.Linear(wide, settings.channels)
        )
        self.stripes = nn.ModuleList(nn.Linear(wide, piece) for piece in settings.pieces[1:])
        self.neck = nn.BatchNorm1d(sum(settings.pieces))
        self.neck.bias.requires_grad_(False)  # the origin stays where angles are measured from

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features before and behind the normalisation."""
        expect(crops, "B 3 H W", "crops")
        powers = self.trunk(crops.float())[-1].clamp(min=POOL_FLOOR).pow(self.power)
        features = self.project(self._pool(powers, 1)[..., 0])
        if self.stripes:
            stripes = self._pool(powers, len(self.stripes)).unbind(dim=2)
            parts = [learn(part) for learn, part in zip(self.stripes, stripes, strict=True)]
            features = torch.cat([features, *parts], dim=1)
        return features, self.neck(features)

    def _pool(self, powers: Tensor, stripes: int) -> Tensor:
        """Generalised mean of maps to the power, (B, C, h, w), over each stripe: (B, C, S)."""
        return F.adaptive_avg_pool2d(powers, (stripes, 1))[..., 0].pow(1 / self.power)


def _halve_last_stride(trunk: Backbone) -> None:
    """Let the last stage step by one cell where it steps by two; its weights stay what they are.

    Raises:
        InputError: the last stage steps by something else than a convolution.
    """
    convolutions = [m for m in trunk.stages[-1].modules() if isinstance(m, nn.Conv2d)]
    stepping = [convolution for convolution in convolutions if convolution.stride == (2, 2)]
    if not stepping:
        expected = f"2 with --backbone {trunk.name}, whose last stage pools"
        raise InputError("--last-stride", expected, 1, "choose another trunk")
    for convolution in stepping:
        convolution.stride = (1, 1)


def load_embedder(path: Path | str | None = None) -> Embedder:
    """Build the embedder that a weights file describes, by default the shipped one.

    Raises:
        InputError: missing, truncated or foreign file, or weights of another shape.
    """
    path = path or shipped(EMBEDDER)
    state, metadata = load_weights(Path(path))
    if metadata.get("kind") != KIND:
        got = "weights of something else"
        raise InputError(path, "an embedder's weights", got, "train one: python -m reid.train")
    net = Embedder(EmbedderSettings.from_json(metadata.get("settings", ""), path))
    check_state(net, state, where=str(path))
    net.load_state_dict(state)
    return net.eval()


@lru_cache(maxsize=1)
def choose_embedder(name: str) -> Embedder | None:
    """Embedder for a linker: none, auto (the one that ships) or a weights file.

    The same for the same name, until the cache is cleared: videos of a batch share it.

    Raises:
        InputError: as `load_embedder`.
    """
    if name == "none":
        return None
    return load_embedder(None if name == "auto" else name)


@torch.no_grad()
def embed(
    net: Embedder, crops: Iterable[Image], *, device: str = "cpu", mirror: bool = True
) -> npt.NDArray[np.float32]:
    """Embed crops, each as a vector of length 1.

    Args:
        net: in evaluation mode.
        crops: uint8 (H, W, 3) RGB of the settings' size.
        device: where to compute.
        mirror: take the mean of each crop's and its mirror image's embedding, for twice the work.

    Returns:
        (N, C); nothing for no crops.
    """
    net = net.to(device)
    rows = [np.zeros((0, sum(net.settings.pieces)), np.float32)]
    for batch in batches(crops):
        images = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        unit = F.normalize(net(images)[1], dim=1)
        if mirror:
            unit = F.normalize(unit + F.normalize(net(images.flip(3))[1], dim=1), dim=1)
        rows.append(unit.cpu().numpy())
    return np.concatenate(rows)


def batches(crops: Iterable[Image]) -> Iterator[Image]:
    """Stack crops to batches of at most `BATCH`, (B, H, W, 3)."""
    waiting: list[Image] = []
    for crop in crops:
        waiting.append(crop)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)
