"""Embeddings of crops by whatever computes nets here (`nets.backends`), for the linker's eyes.

`reid.embedder.embed` does the same in torch, with mirror images, for training and evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn import functional as F

from mot.images import Image
from nets.backends import Engine, make_runner
from nets.runner import Model
from reid.embedder import Embedder, batches

OUTPUT = "embedding"


class CropEmbedder:
    """An embedder ready to run.

    Args:
        net: in evaluation mode, of any settings.
        engine: what computes; always in fp32, because thresholds on the cosine are fine ones.
    """

    def __init__(self, net: Embedder, engine: Engine) -> None:
        settings = net.settings
        self._size, self._length = settings.size, sum(settings.pieces)
        model = Model(_Unit(net), (OUTPUT,), ("crops", 3, *settings.size), steady=False)
        self._runner = make_runner(model, replace(engine, amp="off"))

    def __call__(self, crops: Iterable[Image]) -> npt.NDArray[np.float32]:
        """Embed crops, uint8 (H, W, 3) RGB of the settings' size, as (N, C) of length 1."""
        rows = [np.zeros((0, self._length), np.float32)]
        for batch in batches(crops):
            rows.append(self._runner(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))[OUTPUT])
        return np.concatenate(rows)


@lru_cache(maxsize=1)
def crop_embedder(net: Embedder, engine: Engine) -> CropEmbedder:
    """The same for the same net, which must not change any more: compiling takes a second."""
    return CropEmbedder(net, engine)


class _Unit(nn.Module):
    """Crops (B, 3, H, W) uint8 to embeddings of length 1, as a dict of one map."""

    def __init__(self, net: Embedder) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """Return the embeddings by their name."""
        return {OUTPUT: F.normalize(self.net(crops)[1], dim=1)}
