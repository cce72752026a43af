"""The job of an embedder: its losses, its log row, its doctor and its weights file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets.curves import draw_curves
from nets.loader import load_batches
from nets.training import Job
from nets.weights import save_weights
from reid.embedder import KIND, Embedder
from reid.losses import ReidLossSettings, cosine_scale, pairwise_distances, triplet_loss
from reid.sampler import CropBatches

STUCK_ROWS = 10
STUCK_NEAR = 0.02  # of the value at which a collapsed embedder's loss stands
CLASSIFIER_STD = 0.001


class Learner(nn.Module):
    """An embedder with the classifier that teaches it; only the embedder is kept."""

    def __init__(self, embedder: Embedder, identities: int, settings: ReidLossSettings) -> None:
        super().__init__()
        self.trunk = embedder.trunk  # first: under this name it has a rate of its own
        self.embedder = embedder
        self.settings = settings
        self.pieces = list(embedder.settings.pieces)
        self.classifier = nn.Linear(sum(self.pieces), identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=CLASSIFIER_STD)
        self.scale = cosine_scale(identities)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (B, C) and each piece's logits (B, identities, pieces).

        A classifier of its own for each stripe makes it find what tells people apart there.
        """
        features, embedding = self.embedder(crops)
        parts = torch.split(embedding, self.pieces, dim=1)
        weights = torch.split(self.classifier.weight, self.pieces, dim=1)
        pairs = zip(parts, weights, strict=True)
        return features, torch.stack([self._logits(part, weight) for part, weight in pairs], dim=2)

    def _logits(self, embedding: Tensor, weight: Tensor) -> Tensor:
        if self.settings.classify == "cosine":
            return self.scale * F.normalize(embedding, dim=1) @ F.normalize(weight, dim=1).T
        return embedding @ weight.T


def reid_job(
    learner: Learner,
    batches: CropBatches,
    settings: ReidLossSettings,
    run: Path,
    *,
    workers: int,
    half: bool = False,
) -> Job:
    """Put together how to train an embedder.

    Args:
        learner: embedder and classifier.
        batches: P × K crops each.
        settings: losses.
        run: folder of the run.
        workers: processes that prepare batches.
        half: save the weights as fp16.
    """
    metadata = {"kind": KIND, "settings": learner.embedder.settings.to_json()}

    def save(weights: Mapping[str, Tensor]) -> None:
        start = "embedder."
        kept = {n.removeprefix(start): v for n, v in weights.items() if n.startswith(start)}
        save_weights(run / "weights.safetensors", kept, metadata, half=half)

    return Job(
        net=learner,
        batches=lambda first: load_batches(batches, first, workers),
        loss=lambda model, batch: _loss_and_sums(model, batch, settings),
        row=lambda sums, steps: {name: float(value) / steps for name, value in sums.items()},
        carry=lambda sums, steps: {},
        save=save,
        watch=margin_watch(settings),
        draw=lambda: draw_curves(run / "log.csv", run / "curves.png"),
        validate=lambda model: math.nan,
    )


def _loss_and_sums(
    model: nn.Module, batch: tuple[Tensor, Tensor], settings: ReidLossSettings
) -> tuple[Tensor, dict[str, Any]]:
    """Loss of one batch; the log adds its parts, the spread of features and the accuracy."""
    crops, identity = batch
    features, logits = model(crops)
    parts: dict[str, Tensor] = {}
    if settings.triplet != "none":
        parts["triplet"] = settings.triplet_weight * triplet_loss(features, identity, settings)
    if settings.classify != "none":
        smoothing = settings.smoothing
        each = identity[:, None].expand(-1, logits.shape[2])
        parts["class"] = F.cross_entropy(logits.float(), each, label_smoothing=smoothing)
    sums: dict[str, Any] = {f"{name}_loss": float(part.detach()) for name, part in parts.items()}
    with torch.no_grad():
        sums["distance"] = float(pairwise_distances(features.detach().float()).mean())
        sums["accuracy"] = float((logits[..., 0].argmax(dim=1) == identity).float().mean())
    return torch.stack(list(parts.values())).sum(), sums


def margin_watch(
    settings: ReidLossSettings,
) -> Callable[[int, dict[str, Any], dict[str, float]], list[str]]:
    """Say once when the triplet loss stands where a collapsed embedder's stands.

    With all features equal, each triplet's loss is the margin, or log 2 with a soft margin. A loss
    without weight says nothing.
    """
    stuck_at = settings.triplet_weight * (settings.margin or math.log(2))
    rows = 0

    def watch(step: int, sums: dict[str, Any], row: dict[str, float]) -> list[str]:
        nonlocal rows
        loss = row.get("triplet_loss", math.nan)
        near = stuck_at > 0 and abs(loss - stuck_at) <= STUCK_NEAR * stuck_at
        rows = rows + 1 if near else 0
        if rows != STUCK_ROWS:
            return []
        name = "margin" if settings.margin else "log 2"
        return [
            f"the triplet loss stands at {name} ({stuck_at:.3f}): all crops get the same feature; "
            f"try --triplet all for the start, a lower --lr or --warmup-steps beyond {step}"
        ]

    return watch
