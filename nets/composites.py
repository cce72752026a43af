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
from nets.augment import Augmentation, AugmentSettings
from nets.people import HIDDEN_VISIBILITY, SMALLEST_PX, BoxTable, People, inside_crop

Owners = npt.NDArray[np.int32]
Box = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TRIES = 6  # places drawn for a person before it is left out
HEIGHT_RATIO = (0.6, 1.6)  # height relative to a person of the crop
SHARE_OF_CROP = (0.15, 0.6)  # height relative to the crop where nothing else tells
LOWEST_PX = 1.2 * SMALLEST_PX  # the soft edge takes some of it
MOST_GROWTH = 1.5  # cut-outs are not enlarged beyond it: they would be too blurred
BESIDE_SHARE = 1 / 3  # share of people who are placed over or by another one
BESIDE_IOU = (0.1, 0.6)
LOWER_FEET = 0.15  # how much lower, in heights, the feet of one beside another may be
PACE = 0.03  # fastest movement per frame, in heights; people mostly walk across
BODY_SHARE = 0.6  # of a box's width in the middle: there is the person, the rest is background
MARGIN_SIGMAS = 2.5  # room around a sprite for its soft edge, in deviations of the blur
FEATHER_PX = 0.7  # deviation of the edge's blur
GAIN, CONTRAST, TINT = 0.2, 0.15, 0.06  # strength of a pasted person's own colour changes
BLUR_PX = 0.9  # strongest blur of a pasted person: frames are rarely as sharp as photos
MOST_BLURRED = 2.0  # enlargement of a frame from which people in it get no more blurred
BLUR_SHARE = 0.03  # strongest blur in heights: small people would dissolve
MID_GREY = 110.0  # mean of a photo by day; where a scene is darker, pasted people get darker too
LIGHT_LIMITS = (0.35, 1.4)
LIGHT_STEP = 8  # pixels from one sample of a scene's light to the next


class PeopleBank(Protocol):
    """Cut-outs by number, such as nets.cutouts.Cutouts."""

    def __len__(self) -> int:
        """How many there are."""

    def read(self, index: int) -> Image:
        """One person, tightly cut: uint8 (h, w, 4) RGB and alpha."""


@dataclass(frozen=True)
class Scene:
    """What people are pasted into.

    Attributes:
        people: whom each frame of the clip shows, boxes in crop pixels.
        room: left, top, right, bottom of what the first crop shows of its frame; grey lies beyond.
        light: its mean grey level.
        scale: crop pixels per frame pixel; enlarged frames are blurred.
    """

    people: tuple[People, ...]
    room: Box
    light: float
    scale: float

    @staticmethod
    def of(
        frames: Image, people: tuple[People, ...], draw: Augmentation, size_hw: tuple[int, int]
    ) -> Scene:
        """Look at a clip (T, H, W, 3) cut from frames of a size by `draw`."""
        whole = draw.boxes(np.array([[0, 0, size_hw[1], size_hw[0]]], np.float32), 0)[0]
        corners = np.concatenate([whole[:2], whole[:2] + whole[2:]])
        room = np.clip(corners, 0, np.tile(draw.crop[::-1], 2)).astype(np.float64)
        left, top, right, bottom = room.astype(int).tolist()
        seen = frames[0, top:bottom:LIGHT_STEP, left:right:LIGHT_STEP]
        return Scene(people, room, float(seen.mean()) if seen.size else MID_GREY, draw.scale)


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
    scene: Scene,
    bank: PeopleBank,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[People, ...]:
    """Paste people into a clip.

    A lower bottom edge is nearer to the camera: pasted people cover those whose feet are higher,
    real and pasted ones. Where a real person should cover a pasted one (its outline is not known),
    the pasted one is not placed.

    Args:
        frames: uint8 (T, H, W, 3), changed in place.
        scene: what they show.
        bank: cut-outs to paste.
        settings: `paste_most` and the range of heights.
        rng: source of chance.

    Returns:
        Whom each frame shows now. Who is covered but for 15 % is hidden.
    """
    pasted: list[Pasted] = []
    for _ in range(int(rng.integers(1, settings.paste_most + 1))):
        person = _draw_person(scene, pasted, bank, settings, rng)
        if person is not None:
            pasted.append(person)
    taken = [0.0, *(float(shown.ids.max()) for shown in scene.people if len(shown.ids))]
    ids = max(taken) + np.arange(1, len(pasted) + 1, dtype=np.float32)
    told = []
    for index, (frame, shown) in enumerate(zip(frames, scene.people, strict=True)):
        boxes = np.array([p.boxes(index + 1)[-1] for p in pasted], np.float32).reshape(-1, 4)
        owners, seen = _paint(frame, scene.room, pasted, boxes, index)
        told.append(_tell(shown, boxes, ids, owners, seen))
    return tuple(told)


def _draw_person(
    scene: Scene,
    pasted: Many[Pasted],
    bank: PeopleBank,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> Pasted | None:
    """Draw a cut-out, its look and a place for it; None where none of a few places will do."""
    own = np.array([person.ltwh for person in pasted]).reshape(-1, 4)
    present = np.concatenate([scene.people[0].ltwh, own])
    neighbour = present[rng.integers(len(present))] if len(present) else None
    cutout = bank.read(int(rng.integers(len(bank))))
    height = _draw_height(cutout, neighbour, settings, rng)
    picture, solid = _draw_look(cutout, height, scene, rng)
    if solid is None:
        return None
    step = np.rint(rng.uniform(-PACE, PACE, 2) * height * (1.0, 0.3)).astype(np.int64)
    if rng.random() >= BESIDE_SHARE:
        neighbour = None
    for _ in range(TRIES):
        if neighbour is None:
            corner = rng.uniform(scene.room[:2], scene.room[2:]) - solid[2:] / 2
        else:
            corner = _draw_beside(neighbour, solid[2:], rng)
        ltwh = np.concatenate([np.rint(corner), solid[2:]])
        left, top = (ltwh[:2] - solid[:2]).astype(int).tolist()
        person = Pasted(Sprite(picture, left, top), ltwh, step)
        if _has_place(person, scene):
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
    return max(min(height, MOST_GROWTH * len(cutout)), LOWEST_PX)


def _draw_look(
    cutout: Image, height: float, scene: Scene, rng: np.random.Generator
) -> tuple[Image, Box | None]:
    """Mirror, resize, soften and recolour a cut-out.

    Returns:
        Picture (h, w, 4) with colours multiplied by alpha, and the box of its solid pixels in it
        (left, top, width, height); None where it has none.
    """
    mirrored = rng.random() < 0.5
    gain = 1 + rng.uniform(-GAIN, GAIN) + rng.uniform(-TINT, TINT, 3)
    gain *= np.clip(scene.light / MID_GREY, *LIGHT_LIMITS) ** rng.random()
    contrast = 1 + rng.uniform(-CONTRAST, CONTRAST)
    blur = rng.uniform(0, BLUR_PX * np.clip(scene.scale, 1, MOST_BLURRED))
    blur = min(blur, BLUR_SHARE * height)
    size = round(height), max(1, round(height * cutout.shape[1] / len(cutout)))
    edge = max(FEATHER_PX, blur)
    margin = int(np.ceil(MARGIN_SIGMAS * edge))
    around = ((margin, margin), (margin, margin))
    fitted = resize(cutout, size)
    fitted = np.ascontiguousarray(fitted[:, ::-1]) if mirrored else fitted
    rgb = np.pad(fitted[:, :, :3], (*around, (0, 0)), "edge")
    if blur > 0.3:
        rgb = cv2.GaussianBlur(rgb, (0, 0), blur)
    mix = np.c_[np.diag(gain * contrast), 128 * gain * (1 - contrast)]
    rgb = cv2.transform(rgb, mix)
    alpha = np.pad(fitted[:, :, 3], around)
    alpha = cv2.GaussianBlur(alpha, (0, 0), edge)
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


def _has_place(person: Pasted, scene: Scene) -> bool:
    """Whether it stands in the room, and nobody real who overlaps it stands nearer in any frame."""
    centre = person.ltwh[:2] + person.ltwh[2:] / 2
    if (centre < scene.room[:2]).any() or (centre >= scene.room[2:]).any():
        return False
    for box, shown in zip(person.boxes(len(scene.people)), scene.people, strict=True):
        nearer = shown.ltwh[shown.ltwh[:, 1:4:2].sum(axis=1) > box[1] + box[3]]
        if len(nearer) and iou_matrix(box[None], nearer).any():
            return False
    return True


def _paint(
    frame: Image, room: Box, pasted: Many[Pasted], boxes: BoxTable, index: int
) -> tuple[Owners, Mask]:
    """Paint pasted people (N), who have these boxes, into frame `index` of a clip, far to near.

    Returns:
        Number of the person pasted over each pixel, from 1, 0 = none (H, W), and whether enough of
        each can be seen in the end (N,).
    """
    owners = np.zeros(frame.shape[:2], np.int32)
    left, top, right, bottom = room.astype(int).tolist()
    view = slice(top, bottom), slice(left, right)  # cut off at the frame's edge, as real people are
    whole = np.zeros(len(pasted))
    for n in np.argsort(boxes[:, 1] + boxes[:, 3], kind="stable").tolist():
        dx, dy = (index * pasted[n].step - (left, top)).tolist()
        lay(frame[view], owners[view], pasted[n].sprite, n + 1, dx, dy)
        whole[n] = _count(owners, boxes[n], n + 1)
    rest = np.array([_count(owners, box, n) for n, box in enumerate(boxes, 1)])
    return owners, rest >= HIDDEN_VISIBILITY * np.maximum(whole, 1)


def _tell(
    people: People, boxes: BoxTable, ids: npt.NDArray[np.float32], owners: Owners, seen: Mask
) -> People:
    """Whom a frame shows when people have been pasted in; arguments as `_paint` has them.

    What shows of pasted people who have walked out of the crop is ignored.
    """
    height, width = owners.shape
    inside = inside_crop(boxes, (height, width))
    shares = [_free_share(box, owners) for box in people.ltwh]
    free = np.array(shares, np.float64) >= HIDDEN_VISIBILITY
    return People(
        np.concatenate([people.ltwh[free], boxes[seen & inside]]),
        np.concatenate([people.ids[free], ids[seen & inside]]),
        np.concatenate([people.hidden, people.ltwh[~free], boxes[~seen & inside]]),
        np.concatenate([people.ignored, boxes[~inside]]),
    )


def _count(owners: Owners, box: BoxTable, owner: int) -> int:
    """Pixels in a box that show one owner."""
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
