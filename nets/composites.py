"""Composites: people cut out of photos (nets.cutouts), pasted into training crops with labels.

They are pasted after the crop is cut and before its colours are changed, so that colours, blur and
noise make one picture of people and background.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mot.boxes import iou_matrix
from mot.images import Image, resize
from mot.sprites import SOLID, Sprite, lay
from nets.augment import AugmentSettings
from nets.people import HIDDEN_VISIBILITY, SMALLEST_PX, BoxTable, People, inside_crop

Owners = npt.NDArray[np.int32]
Box = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TRIES = 6  # places drawn for a person before it is left out
HEIGHT_RATIO = (0.6, 1.6)  # height relative to a person of the crop
SHARE_OF_CROP = (0.15, 0.6)  # height relative to the crop where nothing else tells
MOST_GROWTH = 1.5  # cut-outs are not enlarged beyond it: they would be too blurred
BESIDE_SHARE = 1 / 3  # share of people who are placed over or by another one
BESIDE_IOU = (0.1, 0.6)
LOWER_FEET = 0.15  # how much lower, in heights, the feet of one beside another may be
PACE = 0.03  # fastest movement per frame, in heights; people mostly walk across
BODY_SHARE = 0.6  # of a box's width in the middle: there is the person, the rest is background
MARGIN_PX = 2  # around a sprite for its soft edge
FEATHER_PX = 0.7  # deviation of the edge's blur
GAIN, CONTRAST, TINT = 0.2, 0.15, 0.06  # strength of a pasted person's own colour changes
BLUR_PX = 0.9  # strongest blur of a pasted person: frames are rarely as sharp as photos


class PeopleBank(Protocol):
    """Cut-outs by number, such as nets.cutouts.Cutouts."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, index: int) -> Image:
        """One person, tightly cut: uint8 (h, w, 4) RGB and alpha."""


@dataclass(frozen=True)
class Pasted:
    """One pasted person.

    Attributes:
        sprite: its picture where it is in the clip's first frame.
        ltwh: tight box of its solid pixels there (4,), whole pixels.
        step: (2,) movement per frame, right and down, in whole pixels: so it moves exactly as the
            labels say.
    """

    sprite: Sprite
    ltwh: Box
    step: npt.NDArray[np.int64]

    def boxes(self, frames: int) -> Box:
        """Its box in each frame (frames, 4)."""
        moved = np.tile(self.ltwh, (frames, 1))
        moved[:, :2] += np.arange(frames)[:, None] * self.step
        return moved


def paste_people(
    frames: Image,
    people: Many[People],
    bank: PeopleBank,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[People, ...]:
    """Paste people into a share of clips; without a share no chance is consumed.

    A lower bottom edge is nearer to the camera: pasted people cover those whose feet are higher,
    real and pasted ones. Where a real person should cover a pasted one (its outline is not known),
    the pasted one is not placed.

    Args:
        frames: uint8 (T, H, W, 3), changed in place.
        people: whom each frame shows, in its pixels.
        bank: cut-outs to paste.
        settings: `paste_share`, `paste_most` and the range of heights.
        rng: source of chance.

    Returns:
        Whom each frame shows now. Who is covered but for 15 % is hidden.
    """
    if settings.paste_share == 0 or rng.random() >= settings.paste_share:
        return tuple(people)
    pasted: list[Pasted] = []
    for _ in range(int(rng.integers(1, settings.paste_most + 1))):
        person = _draw_person(people, pasted, bank, settings, rng)
        if person is not None:
            pasted.append(person)
    first_id = 1 + max([0.0, *(float(p.ids.max()) for p in people if len(p.ids))])
    return tuple(
        _paint(frame, shown, pasted, first_id, index)
        for index, (frame, shown) in enumerate(zip(frames, people, strict=True))
    )


def _draw_person(
    people: Many[People],
    pasted: Many[Pasted],
    bank: PeopleBank,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> Pasted | None:
    """Draw a cut-out, its look and a place for it; None where none of a few places will do."""
    own = np.array([person.ltwh for person in pasted]).reshape(-1, 4)
    present = np.concatenate([people[0].ltwh, own])
    neighbour = present[rng.integers(len(present))] if len(present) else None
    cutout = bank.read(int(rng.integers(len(bank))))
    height = _draw_height(cutout, neighbour, settings, rng)
    picture, solid = _draw_look(cutout, height, rng)
    if solid is None:
        return None
    step = np.rint(rng.uniform(-PACE, PACE, 2) * height * (1.0, 0.3)).astype(np.int64)
    beside = neighbour is not None and rng.random() < BESIDE_SHARE
    for _ in range(TRIES):
        if beside and neighbour is not None:
            corner = _draw_beside(neighbour, solid[2:], rng)
        else:
            corner = rng.uniform(0, settings.crop[::-1]) - solid[2:] / 2
        ltwh = np.concatenate([np.rint(corner), solid[2:]])
        left, top = np.rint(ltwh[:2] - solid[:2]).astype(int).tolist()
        person = Pasted(Sprite(picture, left, top), ltwh, step)
        if inside_crop(ltwh[None].astype(np.float32), settings.crop)[0] and _is_in_front(
            person.boxes(len(people)), people
        ):
            return person
    return None


def _draw_height(
    cutout: Image, neighbour: Box | None, settings: AugmentSettings, rng: np.random.Generator
) -> float:
    """Height in crop pixels, like that of somebody in the crop, else as the settings say."""
    low, high = settings.person_px or np.multiply(SHARE_OF_CROP, settings.crop[0])
    if neighbour is not None:
        low, high = np.multiply(HEIGHT_RATIO, neighbour[3])
    height = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return max(min(height, MOST_GROWTH * len(cutout)), SMALLEST_PX + MARGIN_PX)


def _draw_look(cutout: Image, height: float, rng: np.random.Generator) -> tuple[Image, Box | None]:
    """Mirror, resize, soften and recolour a cut-out.

    Returns:
        Picture (h, w, 4) with colours multiplied by alpha, and the box of its solid pixels in it
        (left, top, width, height); None where it has none.
    """
    if rng.random() < 0.5:
        cutout = cutout[:, ::-1]
    gain = 1 + rng.uniform(-GAIN, GAIN) + rng.uniform(-TINT, TINT, 3)
    contrast, blur = 1 + rng.uniform(-CONTRAST, CONTRAST), rng.uniform(0, BLUR_PX)
    size = round(height), max(1, round(height * cutout.shape[1] / len(cutout)))
    around = ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX))
    fitted = resize(np.ascontiguousarray(cutout), size)
    rgb = np.pad(fitted[:, :, :3], (*around, (0, 0)), "edge")
    if blur > 0.3:
        rgb = cv2.GaussianBlur(rgb, (0, 0), blur)
    mix = np.c_[np.diag(gain * contrast), 128 * gain * (1 - contrast)]
    rgb = cv2.transform(rgb, mix)
    alpha = np.pad(fitted[:, :, 3], around)
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(FEATHER_PX, blur))
    rgb = cv2.multiply(rgb, cv2.merge([alpha] * 3), scale=1 / 255)
    left, top, width, height_px = cv2.boundingRect((alpha >= SOLID).astype(np.uint8))
    solid = np.array([left, top, width, height_px], np.float64) if width else None
    return np.dstack([rgb, alpha]), solid


def _draw_beside(neighbour: Box, size: Box, rng: np.random.Generator) -> Box:
    """Left and top of a box of a size (width, height) that overlaps its neighbour by a drawn IoU.

    Its feet are a little lower. The IoU is I / (A + B - I), so I = (A + B) · IoU / (1 + IoU).
    """
    iou, right = rng.uniform(*BESIDE_IOU), rng.random() < 0.5
    left, top, width, height = neighbour
    bottom = top + height + rng.uniform(0, LOWER_FEET) * height
    shared_rows = max(1.0, top + height - max(top, bottom - size[1]))
    area = (width * height + size.prod()) * iou / (1 + iou)
    shared_columns = min(area / shared_rows, width, size[0])
    at = left + width - shared_columns if right else left + shared_columns - size[0]
    return np.array([at, bottom - size[1]])


def _is_in_front(boxes: Box, people: Many[People]) -> bool:
    """Whether no real person whom a pasted one overlaps stands nearer, in any frame."""
    for box, shown in zip(boxes, people, strict=True):
        nearer = shown.ltwh[shown.ltwh[:, 1] + shown.ltwh[:, 3] > box[1] + box[3]]
        if len(nearer) and iou_matrix(box[None], nearer).any():
            return False
    return True


def _paint(
    frame: Image, people: People, pasted: Many[Pasted], first_id: float, index: int
) -> People:
    """Paint the pasted people into frame number `index` of a clip, from far to near.

    Returns:
        Whom it shows then.
    """
    boxes = np.array([p.boxes(index + 1)[-1] for p in pasted], np.float32).reshape(-1, 4)
    height, width = frame.shape[:2]
    owners = np.zeros((height, width), np.int32)
    solid = np.zeros(len(pasted))
    for number in np.argsort(boxes[:, 1] + boxes[:, 3], kind="stable").tolist():
        dx, dy = (index * pasted[number].step).tolist()
        lay(frame, owners, pasted[number].sprite, number + 1, dx, dy)
        solid[number] = _pixels_of(number + 1, boxes[number], owners)
    left = [_pixels_of(n, box, owners) for n, box in enumerate(boxes, 1)]
    free = np.array([_free_share(box, owners) for box in people.ltwh], np.float64)
    return _told(
        people,
        boxes,
        first_id + np.arange(len(pasted), dtype=np.float32),
        free >= HIDDEN_VISIBILITY,
        np.array(left) >= HIDDEN_VISIBILITY * np.maximum(solid, 1),
        inside_crop(boxes, (height, width)),
    )


def _told(
    people: People,
    ltwh: BoxTable,
    ids: npt.NDArray[np.float32],
    free: Mask,
    seen: Mask,
    inside: Mask,
) -> People:
    """Whom a frame shows with pasted people (ltwh, ids) in it.

    Args:
        people: those of the frame itself.
        ltwh: boxes of the pasted people.
        ids: theirs.
        free: which of the frame's own can still be seen.
        seen: which of the pasted ones can be seen.
        inside: which of the pasted ones are still in the crop; what shows of others is ignored.
    """
    return People(
        np.concatenate([people.ltwh[free], ltwh[seen & inside]]),
        np.concatenate([people.ids[free], ids[seen & inside]]),
        np.concatenate([people.hidden, people.ltwh[~free], ltwh[~seen & inside]]),
        np.concatenate([people.ignored, ltwh[~inside]]),
    )


def _pixels_of(owner: int, box: BoxTable, owners: Owners) -> int:
    return int(np.count_nonzero(owners[_window(box, owners)] == owner))


def _free_share(box: BoxTable, owners: Owners) -> float:
    """Share of a real person, taken for the middle of its box, that nobody is pasted over."""
    left, top, width, height = box
    body = np.array([left + width * (1 - BODY_SHARE) / 2, top, width * BODY_SHARE, height])
    window = owners[_window(body, owners)]
    return 1.0 if window.size == 0 else 1 - np.count_nonzero(window) / window.size


def _window(box: BoxTable, owners: Owners) -> tuple[slice, slice]:
    """Rows and columns of a frame's pixels that a box covers."""
    height, width = owners.shape
    left, right = np.clip(np.rint([box[0], box[0] + box[2]]).astype(int), 0, width).tolist()
    top, bottom = np.clip(np.rint([box[1], box[1] + box[3]]).astype(int), 0, height).tolist()
    return slice(top, bottom), slice(left, right)
