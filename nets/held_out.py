"""How well a net does on clips that it was not trained on: who is found, and how maps fit.

Needs no box head: a density map is read by its sum, which says how many people there are, and its
highest peaks, which say where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from labelmaps.peaks import NEIGHBOURHOOD
from mot.errors import InputError
from nets.augment import as_they_are
from nets.clip_net import ClipNet
from nets.clips import ClipBatches
from nets.losses import Targets
from nets.people import People
from nets.recipe import TrainSettings
from nets.sources import rendered_sources, validation_sources

FloatMap = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

SCENES = 2  # rendered ones, of a split of their own
BATCHES = 8
SMOOTH_CELLS = 1.0  # deviation of the Gaussian that joins the crumbs of one person's density
CENTRE_SCORE = 0.3  # of a centre that counts as found
FAR = 1e6  # cost of a pair that is none


@dataclass(frozen=True)
class Shown:
    """One frame of a held-out clip: uint8 (H, W, 3), and its maps (h, w) in people per cell."""

    image: npt.NDArray[np.uint8]
    truth: FloatMap
    predicted: FloatMap


@dataclass(frozen=True)
class HeldOut:
    """A net on held-out clips.

    Attributes:
        f1: 2 TP / (2 TP + FP + FN) of people, over all frames; 1 without any.
        mass_ratio: Σ predicted / Σ true (NaN without people), over the density map (the mask, or
            the centre map, of a net without one).
        skill: 1 − Σ (predicted − true)² / Σ (mean − true)² over the same map, with the mean of each
            batch: 0 is worth as much as the best constant.
        shown: an example.
    """

    f1: float
    mass_ratio: float
    skill: float
    shown: Shown


def held_out_clips(settings: TrainSettings) -> ClipBatches:
    """Clips of the validation sequences, or of rendered scenes where the training has those.

    Crops are drawn as for training; colours stay as they are.

    Raises:
        InputError: data is named, and nothing to validate on.
    """
    sources = validation_sources(settings.data)
    if not sources:
        if settings.data.data or settings.data.train_seqs or settings.data.stills:
            remedy = "name sequences that are not trained on"
            raise InputError("--val-seqs", "sequences to measure on", "none", remedy)
        sources = rendered_sources(settings.data, SCENES, "val")
    augment = as_they_are(settings.augment)
    return ClipBatches(
        sources,
        [1.0] * len(sources),
        frames=settings.net.frames,
        batch=settings.schedule.batch,
        augment=augment,
        stride=settings.net.stride,
        label=settings.loss.last_label,
        heads=settings.net.heads,
        seed=0,
        count=BATCHES,
    )


@torch.no_grad()
def measure(net: ClipNet, clips: ClipBatches) -> HeldOut:
    """Run a net (B, T, 3, H, W) → maps over all batches and compare with their truth."""
    net.eval()
    device = next(net.parameters()).device
    hits = np.zeros(3)
    error = spread = 0.0
    masses = np.zeros(2)
    shown: Shown | None = None
    for number in range(len(clips)):
        drawn = clips.clips(number)
        images, targets = clips.collate(drawn, clips.label)
        maps = {name: value.cpu().numpy() for name, value in net(images.to(device)).items()}
        predicted, truth, valid = _main_map(maps, targets)
        error += float((np.square(predicted - truth) * valid).sum())
        masses += (predicted * valid).sum(), (truth * valid).sum()
        mean = (truth * valid).sum() / max(valid.sum(), 1)
        spread += float((np.square(mean - truth) * valid).sum())
        for index, clip in enumerate(drawn):
            for frame, people in enumerate(clip.people):
                found = found_people({k: v[index, frame] for k, v in maps.items()}, clips.stride)
                hits += count_hits(found, people)
        if shown is None:
            image = images[0, 0].permute(1, 2, 0).numpy()
            shown = Shown(image, truth[0, 0], predicted[0, 0])
    if shown is None:
        raise InputError("held-out clips", "a batch or more", "none", "raise the count")
    both = 2 * hits[0] + hits[1] + hits[2]
    f1 = 2 * hits[0] / both if both else 1.0
    ratio = float(masses[0] / masses[1]) if masses[1] else math.nan
    return HeldOut(float(f1), ratio, 1 - error / spread if spread else 0.0, shown)


def _main_map(maps: dict[str, FloatMap], targets: Targets) -> tuple[FloatMap, FloatMap, FloatMap]:
    """Predicted map, its truth and where it counts, each (B, T, h, w)."""
    if "density" in maps:
        return maps["density"][:, :, 0], targets.density.numpy(), targets.valid.numpy()
    name = "seg" if "seg" in maps else "centre"
    truth, valid = getattr(targets, name).numpy(), targets.detectable.numpy()
    return expit(maps[name][:, :, 0]), truth, valid


def found_people(maps: dict[str, FloatMap], stride: int) -> Points:
    """Places (N, 2), x and y in input pixels, where a net's maps of one frame show somebody.

    Centres are peaks of at least `CENTRE_SCORE`. Without them, the sum of the density, rounded, is
    how many of its highest peaks count; without that, each patch of the mask is somebody.

    Args:
        maps: name → (C, h, w).
        stride: pixels per cell.
    """
    if "centre" in maps:
        heat = expit(maps["centre"][0])
        return _peaks(heat, int((heat >= CENTRE_SCORE).sum()), stride, least=CENTRE_SCORE)
    if "density" not in maps:
        mask = (maps["seg"][0] > 0).astype(np.uint8)
        _, _, _, middles = cv2.connectedComponentsWithStats(mask, connectivity=8)
        return np.asarray((middles[1:] + 0.5) * stride)  # the first is what lies outside
    density = maps["density"][0]
    count = float(density.sum())
    if not np.isfinite(count):
        return np.zeros((0, 2))
    # Nobody is beyond the border: mirrored there, a person near it would move onto it.
    smooth = cv2.GaussianBlur(density, (0, 0), SMOOTH_CELLS, borderType=cv2.BORDER_CONSTANT)
    return _peaks(smooth, min(round(count), density.size), stride, least=0.0)


def _peaks(heat: FloatMap, count: int, stride: int, *, least: float) -> Points:
    """Centres of the `count` highest cells that no neighbour exceeds and that exceed `least`."""
    rows, columns = np.nonzero((heat == cv2.dilate(heat, NEIGHBOURHOOD)) & (heat > least))
    best = np.argsort(-heat[rows, columns], kind="stable")[:count]
    cells = np.stack([columns[best], rows[best]], axis=1).astype(np.float64)
    return (cells + 0.5) * stride


def count_hits(found: Points, people: People) -> tuple[int, int, int]:
    """True positives, false positives, misses of one frame.

    Somebody is found by a place within half of sqrt(width × height) of the box's centre; one place
    finds one person (the assignment with most pairs). Places in the boxes of hidden people and of
    ignored regions are neither right nor wrong.
    """
    ltwh = people.ltwh.astype(np.float64)
    centres, reach = ltwh[:, :2] + ltwh[:, 2:] / 2, np.sqrt(ltwh[:, 2:].prod(axis=1)) / 2
    distance = np.linalg.norm(found[:, None] - centres[None], axis=2) / np.maximum(reach, 1e-9)
    rows, columns = linear_sum_assignment(np.where(distance <= 1, distance, FAR))
    right = distance[rows, columns] <= 1
    hits = int(right.sum())
    others: Points = np.delete(found, rows[right], axis=0)
    excused: Points = np.concatenate([people.hidden, people.ignored]).astype(np.float64)
    low, high = excused[:, :2], excused[:, :2] + excused[:, 2:]
    within = (others[:, None] >= low) & (others[:, None] <= high)
    inside = np.asarray(np.any(within.all(axis=2), axis=1))
    return hits, int((~inside).sum()), len(ltwh) - hits
