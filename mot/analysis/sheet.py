"""A contact sheet of the worst frames, each error in the colour of its kind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mot.analysis.scene import ScoredScene
from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.draw import FONT, draw_boxes, draw_text, mosaic
from mot.errors import InputError
from mot.frames import stream_frames
from mot.images import Image
from mot.progress import progress_bar
from mot.sequence import Sequence

APART_S = 0.5  # between two frames of a sheet
TILE_WIDTH = 640  # pixels
COLUMNS = 4
CAPTION = 26  # pixels of the line over a tile
LETTERS = 0.5
NOTE_LETTERS = 0.35  # of the numbers at boxes
NOTE_PX = 14  # of such a number's line
GAP = 6
QUALITY = 92
DARK = 24  # grey of the ground

MATCHED = (140, 175, 140)
MISSED = (255, 45, 45)
FALSE = (255, 165, 0)
SWITCHED = (205, 70, 255)
LEGEND = {"found": MATCHED, "missed": MISSED, "false box": FALSE, "switched": SWITCHED}

Counts = npt.NDArray[np.int64]


def count_errors(scene: ScoredScene) -> Counts:
    """Misses, false boxes and switches of every frame, (3, length)."""
    listed, length = scene.errors, scene.prepared.length
    boxes = (scene.truth[listed.missed], scene.tracks[listed.false], scene.truth[listed.switched])
    return np.stack([part.per_frame(length) for part in boxes])


def worst_frames(counts: Counts, most: int, apart: int) -> list[int]:
    """The frames with most errors, worst first, none nearer to another than `apart` frames.

    Args:
        counts: errors of each frame (kinds, length).
        most: frames at most; those without an error are never among them.
        apart: 1 = neighbours may be chosen.

    Returns:
        1-based numbers; of equal ones the earlier comes first.
    """
    left = counts.sum(axis=0)
    chosen: list[int] = []
    while len(chosen) < most and left.max(initial=0) > 0:
        worst = int(np.argmax(left))
        chosen.append(worst + 1)
        left[max(0, worst - apart + 1) : worst + apart] = 0
    return chosen


def write_sheet(path: Path, sequence: Sequence, scene: ScoredScene, most: int) -> int:
    """Draw the worst frames of a sequence; the picture appears whole or not at all.

    Args:
        path: a .jpg.
        sequence: whose frames.
        scene: its errors.
        most: frames at most.

    Returns:
        How many frames are on it; 0 = there are no errors, and no picture.

    Raises:
        InputError: a frame that cannot be read.
    """
    counts = count_errors(scene)
    frames = worst_frames(counts, most, max(1, round(APART_S * scene.fps)))
    if not frames:
        return 0
    grid = mosaic(_tiles(sequence, scene, counts, frames), columns=COLUMNS, gap_px=GAP)
    sheet = np.concatenate([_heading(grid.shape[1], scene, counts, len(frames)), grid])
    done, data = cv2.imencode(".jpg", sheet[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise InputError(path, "a picture that encodes", sheet.shape, "choose fewer frames")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return len(frames)


def _tiles(
    sequence: Sequence, scene: ScoredScene, counts: Counts, frames: list[int]
) -> list[Image]:
    """Frames at the size of a tile with their errors, each under a line that counts them."""
    tiles = []
    size_hw = max(1, round(sequence.height * TILE_WIDTH / sequence.width)), TILE_WIDTH
    with progress_bar(len(frames), unit="frame", title=sequence.name) as bar:
        for frame in frames:
            _, image = next(stream_frames(sequence, size_hw=size_hw, first=frame, last=frame))
            caption = _strip(TILE_WIDTH, _caption(frame, counts[:, frame - 1].tolist(), scene.fps))
            tiles.append(np.concatenate([caption, draw_errors(image, scene, frame)]))
            bar.update()
    return tiles


def draw_errors(image: Image, scene: ScoredScene, frame: int) -> Image:
    """Draw matched boxes thin, and errors over them.

    A false box has its score below its left corner, a missed person the visible share, if known.

    Args:
        image: uint8 (H, W, 3) RGB, of any size.
        scene: whose frame it is.
        frame: 1-based number.
    """
    listed = scene.errors
    scale = image.shape[1] / scene.size_hw[1], image.shape[0] / scene.size_hw[0]
    canvas = image.copy()

    def draw(boxes: Boxes, colour: tuple[int, int, int], thickness: int) -> None:
        here = boxes.at(frame).scaled(*scale)
        draw_boxes(canvas, here, labels=False, thickness=thickness, colour=colour, in_place=True)

    draw(scene.tracks[listed.pairs[:, 1]], MATCHED, 1)

    def note(boxes: Boxes, told: str) -> None:
        here = boxes.at(frame).scaled(*scale)
        for (left, _, _, bottom), value in zip(here.ltrb, getattr(here, told), strict=True):
            if value > 0:  # a filled gap has no score, and some truths no visibility
                draw_text(
                    canvas,
                    f"{value:.2f}",
                    left=round(float(left)),
                    top=min(round(float(bottom)), len(canvas) - NOTE_PX),
                    scale=NOTE_LETTERS,
                    in_place=True,
                )

    false, missed = scene.tracks[listed.false], scene.truth[listed.missed]
    draw(false, FALSE, 2)
    draw(missed, MISSED, 2)
    draw(scene.truth[listed.switched], SWITCHED, 3)
    note(missed, "visibility")
    note(false, "score")
    return canvas


def _caption(frame: int, counts: list[int], fps: float) -> str:
    """What a frame has, without what it has none of."""
    names = zip(counts, ("missed", "false", "switched"), strict=True)
    errors = ", ".join(f"{count} {name}" for count, name in names if count)
    return f"frame {frame} ({(frame - 1) / fps:.1f} s): {errors}"


def _heading(width: int, scene: ScoredScene, counts: Counts, shown: int) -> Image:
    """Three lines over the sheet: what it shows, all errors, and what the colours mean."""
    missed, false, switched = counts.sum(axis=1).tolist()
    what = f"{scene.name}: the {shown} worst of {scene.prepared.length} frames, {APART_S} s apart"
    told = f"{missed} missed (visible share), {false} false (score), {switched} switched"
    all_errors = f"in all frames {told}"
    legend, left = _strip(width), 8
    for name, colour in LEGEND.items():
        cv2.rectangle(legend, (left, 6), (left + 12, CAPTION - 8), colour, 2)
        draw_text(legend, name, left=left + 18, top=3, scale=LETTERS, in_place=True)
        left += 42 + cv2.getTextSize(name, FONT, LETTERS, 1)[0][0]
    draw_text(legend, "corners: fills a gap", left=left, top=3, scale=LETTERS, in_place=True)
    return np.concatenate([_strip(width, what), _strip(width, all_errors), legend])


def _strip(width: int, text: str = "") -> Image:
    """A line of text as wide as what it stands over."""
    strip = np.full((CAPTION, width, 3), DARK, np.uint8)
    return draw_text(strip, text, left=6, top=3, scale=LETTERS, in_place=True) if text else strip
