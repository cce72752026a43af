"""Training clips: crops of T frames with one draw of augmentation, and the maps they should give.

A batch is a function of (seed, rank, step) alone, so that a resumed training sees the very batches
that it would have seen, whatever the number of loader processes.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from labelmaps.cache import FrameBlock
from labelmaps.render import ignore_mask, render
from labelmaps.targets import box_targets
from mot.boxes import Boxes
from mot.errors import InputError
from mot.stills import Stills, read_still
from nets.augment import Augmentation, AugmentSettings, draw_augmentation, recolour
from nets.composites import PeopleBank, Scene, paste_people
from nets.jitter import jitter, turn
from nets.losses import Targets
from nets.people import HIDDEN_VISIBILITY, People, people_of, within_crop
from nets.settings import HEADS

Image = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]
SCALE_SAMPLES = 64  # clips that the map units are measured on


class Source(Protocol):
    """A sequence or a folder of stills, as training sees it.

    Attributes:
        name: for messages.
        length: number of frames or photos.
        still: each frame stands alone: a clip repeats one of them, and the crop drifts over it.
    """

    name: str
    length: int
    still: bool

    def clip(self, start: int, count: int, step: int) -> Many[Image]:
        """Frames start, start + step, … as (H, W, 3) images; start is 0-based."""

    def people(self, index: int) -> People:
        """Whom frame `index` (0-based) shows."""


class SequenceSource:
    """A cached sequence with its truth.

    Args:
        name: for messages.
        block: its frames.
        truth: in pixels of the original frames.
        least_visibility: as `people_of`.

    Attributes:
        boxes: of people who can be seen, over all frames.
    """

    still = False

    def __init__(
        self,
        name: str,
        block: FrameBlock,
        truth: Boxes,
        least_visibility: float = HIDDEN_VISIBILITY,
    ) -> None:
        self.name = name
        self.block = block
        self.length = len(block.frames)
        scaled = truth.scaled(block.scale_x, block.scale_y)
        self._people = [
            people_of(rows, least_visibility) for _, rows in scaled.by_frame(self.length)
        ]
        self.boxes = sum(len(people.ltwh) for people in self._people)

    def clip(self, start: int, count: int, step: int) -> Many[Image]:
        """Return views into the cached block; see Source."""
        return list(self.block.clip(start, count, step))

    def people(self, index: int) -> People:
        """See Source."""
        return self._people[index]


class StillSource:
    """A folder of photos; a clip is one photo repeated (the crop may drift over it)."""

    still = True

    def __init__(self, stills: Stills) -> None:
        self.name = stills.name
        self.stills = stills
        self.length = len(stills.paths)
        self._people = [
            # Photos name nobody; within a clip of one photo, a person is known by its row.
            people_of(rows.with_columns(id=np.arange(len(rows))))
            for _, rows in stills.boxes.by_frame(self.length)
        ]

    def clip(self, start: int, count: int, step: int) -> Many[Image]:
        """See Source."""
        return [read_still(self.stills, start + 1)] * count

    def people(self, index: int) -> People:
        """See Source."""
        return self._people[index]


@dataclass(frozen=True)
class Clip:
    """One training example: frames (T, H, W, 3) uint8 and whom each shows, in crop pixels."""

    frames: Image
    people: tuple[People, ...]


def sample_clip(
    source: Source,
    frames: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
    bank: PeopleBank | None = None,
) -> Clip:
    """Draw a clip of `frames` frames from a source with one augmentation for all of them.

    People from the bank are pasted into a share of the clips; without a bank into none.
    """
    still = source.still
    step = 1 if still else _frame_step(source, frames, settings.frame_steps, rng)
    last_start = source.length - (1 if still else (frames - 1) * step + 1)
    start = int(rng.integers(0, last_start + 1))
    images = source.clip(start, frames, step)
    indices = [start if still else start + k * step for k in range(frames)]
    people = [source.people(index) for index in indices]
    draw = draw_augmentation(
        images[0].shape[:2], people[0].ltwh, frames, settings, rng, drift=still
    )
    cut = np.stack([draw.apply(image, k) for k, image in enumerate(images)])
    moved = tuple(_moved(p, draw, k) for k, p in enumerate(people))
    if settings.rotate > 0:
        cut, moved = turn(cut, moved, rng.uniform(-settings.rotate, settings.rotate))
    moved = tuple(within_crop(p, settings.crop, settings.teach_px) for p in moved)
    # Nobody to paste draws nothing: other batches than before would not repeat earlier trainings.
    if bank is not None and settings.paste_share > 0 and rng.random() < settings.paste_share:
        scene = Scene.of(cut, moved, draw, images[0].shape[:2])
        pasted = paste_people(cut, scene, bank, settings, rng)
        moved = tuple(within_crop(p, settings.crop, settings.teach_px) for p in pasted)
    return Clip(recolour(jitter(cut, moved, settings, rng), settings, rng), moved)


def _frame_step(source: Source, frames: int, steps: Many[int], rng: np.random.Generator) -> int:
    """Draw a distance between frames among those that fit into the source."""
    possible = [step for step in steps if (frames - 1) * step < source.length]
    if not possible:
        raise InputError(
            f"sequence {source.name}",
            f"at least {(frames - 1) * min(steps) + 1} frames",
            source.length,
            "lower --frames or --frame-steps, or leave it out",
        )
    return int(rng.choice(possible))


def _moved(people: People, draw: Augmentation, frame: int) -> People:
    """People in crop pixels, wherever they are."""
    ltwh, hidden = draw.boxes(people.ltwh, frame), draw.boxes(people.hidden, frame)
    return People(ltwh, people.ids, hidden, draw.boxes(people.ignored, frame))


def frame_targets(
    clip: Clip,
    *,
    stride: int,
    label: str,
    size_hw: tuple[int, int],
    heads: Many[str] = HEADS,
) -> dict[str, Map]:
    """Render the target maps of one clip, each (T, …, h, w) as in losses.Targets.

    Args:
        clip: frames and people.
        stride: pixels per cell.
        label: kind of the density map.
        size_hw: of the frames in pixels.
        heads: that learn; maps of others are empty.
    """
    frames = [
        _frame_maps(clip.people, index, stride, label, size_hw, heads)
        for index in range(len(clip.people))
    ]
    none = np.zeros(0, np.float32)
    return {
        name: np.stack([maps[name] for maps in frames]) if name in frames[0] else none
        for name in Targets.__annotations__
    }


def density_target(people: People, size_hw: tuple[int, int], stride: int) -> tuple[Map, Map]:
    """The gaussian density of one frame (the default --label), and where it counts: (h, w) each.

    Args:
        people: in the frame's pixels; who has the centre outside, or is too low to teach, is
            ignored as in training.
        size_hw: of the frame in pixels.
        stride: pixels per cell.
    """
    within = (within_crop(people, size_hw),)
    maps = _frame_maps(within, 0, stride, "gaussian", size_hw, ("density",))
    return maps["density"], maps["valid"]


def _frame_maps(
    clip: Many[People],
    index: int,
    stride: int,
    label: str,
    size_hw: tuple[int, int],
    heads: Many[str],
) -> dict[str, Map]:
    """Maps of one frame of a clip, of those heads."""
    people = clip[index]
    target = box_targets(people.ltwh, size_hw, stride=stride)
    free = target.owner < 0
    blocked = ignore_mask(people.ignored, size_hw, stride=stride) & free
    unclear = ignore_mask(people.hidden, size_hw, stride=stride) & free
    maps: dict[str, Map] = {
        "valid": (~blocked).astype(np.float32),
        "detectable": (~(blocked | unclear)).astype(np.float32),
    }
    if "density" in heads:
        maps["density"] = render(people.counted, size_hw, stride=stride, kind=label)
    if "centre" in heads:
        maps["centre"] = render(people.ltwh, size_hw, stride=stride, kind="centre")
    if "box" in heads:
        maps["box"], maps["box_weight"] = target.distances, target.weight
    if "motion" in heads:
        shift, known = _displacements(clip, index)
        owner = np.where(free, len(people.ltwh), target.owner)
        maps["motion"] = shift[owner].transpose(2, 0, 1)
        maps["motion_weight"] = target.weight * known[owner]
    if "seg" in heads:
        maps["seg"] = ignore_mask(people.ltwh, size_hw, stride=stride).astype(np.float32)
    return maps


def _displacements(
    people: Many[People], index: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Displacement of each person's centre to the next frame, (N + 1, 2), and whether known.

    The last frame of a clip has only its past: there the displacement from the previous frame
    stands in. The extra last row serves cells without owner.
    """
    here = people[index]
    last = index == len(people) - 1
    other = people[max(index - 1, 0)] if last else people[index + 1]
    shift = np.zeros((len(here.ids) + 1, 2), np.float32)
    known = np.zeros(len(here.ids) + 1, np.float32)
    if other is here:
        return shift, known
    both, mine, theirs = np.intersect1d(here.ids, other.ids, return_indices=True)
    mine, theirs = mine[both >= 0], theirs[both >= 0]
    centre_here = here.ltwh[mine, :2] + here.ltwh[mine, 2:] / 2
    centre_there = other.ltwh[theirs, :2] + other.ltwh[theirs, 2:] / 2
    shift[mine] = (centre_here - centre_there) if last else (centre_there - centre_here)
    known[mine] = 1.0
    return shift, known


class ClipBatches(Dataset[tuple[torch.Tensor, Targets]]):
    """Batch number → (frames (B, T, 3, H, W) uint8, Targets).

    Args:
        sources: where clips come from.
        shares: how often each source is drawn, any positive numbers.
        frames: T.
        batch: clips per batch, B.
        augment: crop, scale and colour settings.
        stride: pixels per target cell.
        label: kind of label map.
        heads: of the net; the maps of others are empty.
        seed: with rank and batch number it decides every draw.
        rank: of this process among several.
        count: number of batches.
        bank: people to paste into clips, if any.
        labels: batch number → kind of label map, where it changes; in the place of `label`.

    Raises:
        InputError: no sources, or a sequence that is shorter than a clip.
    """

    def __init__(
        self,
        sources: Many[Source],
        shares: Many[float],
        *,
        frames: int,
        batch: int,
        augment: AugmentSettings,
        stride: int,
        label: str,
        heads: Many[str],
        seed: int,
        rank: int = 0,
        count: int = 1,
        bank: PeopleBank | None = None,
        labels: Callable[[int], str] | None = None,
    ) -> None:
        if not sources:
            raise InputError("--train-seqs", "at least one sequence", "none", "name a sequence")
        for source in sources:
            if not source.still:
                _frame_step(source, frames, augment.frame_steps, np.random.default_rng(0))
        self.sources = sources
        self.shares = np.asarray(shares, np.float64) / np.sum(shares)
        self.frames, self.batch, self.augment = frames, batch, augment
        self.stride, self.label, self.heads, self.bank = stride, label, heads, bank
        self.seed, self.rank, self.count = seed, rank, count
        self.labels = labels

    def __len__(self) -> int:
        return self.count

    def clips(self, number: int, rank: int = 0) -> list[Clip]:
        """Clips of batch `number`, as the process of that rank sees them."""
        rng = np.random.default_rng([self.seed, rank, number])
        chosen = rng.choice(len(self.sources), size=self.batch, p=self.shares)
        return [
            sample_clip(self.sources[s], self.frames, self.augment, rng, self.bank) for s in chosen
        ]

    def __getitem__(self, number: int) -> tuple[torch.Tensor, Targets]:
        label = self.labels(number) if self.labels else self.label
        return self.collate(self.clips(number, self.rank), label)

    def collate(self, clips: list[Clip], label: str) -> tuple[torch.Tensor, Targets]:
        """Clips as a batch: frames (B, T, 3, H, W) uint8, and their maps of that kind of label."""
        maps = [
            frame_targets(
                c, stride=self.stride, label=label, size_hw=self.augment.crop, heads=self.heads
            )
            for c in clips
        ]
        images = torch.from_numpy(np.stack([clip.frames for clip in clips]))
        stacked = {k: torch.from_numpy(np.stack([m[k] for m in maps])) for k in maps[0]}
        return images.permute(0, 1, 4, 2, 3), Targets(**stacked)

    def images(self) -> torch.Tensor:
        """Frames of the first batch (B, T, 3, H, W) uint8: a sample of what a net will see."""
        return self[0][0]

    def frame_px(self) -> int:
        """Pixels of a whole frame: the median over the clips that are drawn, not over sources."""
        first = [source.clip(0, 1, 1)[0] for source in self.sources]
        sizes = np.array([image.shape[0] * image.shape[1] for image in first])
        order = np.argsort(sizes, kind="stable")
        middle = int(np.searchsorted(np.cumsum(self.shares[order]), 0.5))
        return int(sizes[order][min(middle, len(sizes) - 1)])

    def people_per_cell(self) -> float:
        """Mean people per target cell over a sample of crops (not below a hundredth per frame).

        The same in every rank: ranks that divide by different units would not train one loss.
        """
        count = max(1, SCALE_SAMPLES // self.batch)
        samples = [clip for n in range(count) for clip in self.clips(n, rank=0)]
        people = np.mean([len(p.counted) for clip in samples for p in clip.people])
        height, width = self.augment.crop
        cells = -(-height // self.stride) * -(-width // self.stride)
        return max(float(people), 0.01) / cells
