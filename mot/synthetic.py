"""Rendered scenes: people who walk through a street, with boxes, joints and visibility known.

`render_frames` yields frame after frame; `write_scene` makes a sequence folder as the
MOTChallenge ships them; `ensure_scenes` keeps a data set of such folders. The painting itself is
in `mot.stage`, the difficulty knobs in `mot.scene_settings` and docs/synthetic.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np

from mot.annotations import truth_rows
from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.errors import InputError
from mot.images import Image
from mot.scene_settings import SceneSettings
from mot.seqinfo import SEQINFO, seqinfo_text
from mot.sequence import Sequence, open_sequence
from mot.stage import SceneFrame, render_scene

__all__ = ["SceneFrame", "SceneSettings", "ensure_scenes", "render_frames", "render_scene",
           "write_scene"]  # fmt: skip

RENDERED = "synthetic"  # how the names of rendered scenes begin
SPLITS = {"train": 0, "val": 1, "test": 2}
SEEDS_PER_SPLIT = 1_000_000  # no scene of one split has the seed of another's
# Raised when the same settings give other pictures or files, so that old scenes are not reused.
RENDERER = 3
JPEG_QUALITY = 92
JOINTS = Path("gt", "joints.npz")  # below a scene's folder


def render_frames(settings: SceneSettings) -> Iterator[tuple[Image, Boxes]]:
    """Yield (uint8 (H, W, 3) RGB frame, its boxes) for frames 1..settings.frames."""
    for frame in render_scene(settings):
        yield frame.rgb, frame.boxes


def write_scene(settings: SceneSettings, folder: str | os.PathLike[str]) -> Sequence:
    """Render a scene into a sequence folder in MOT17's layout; it appears whole or not at all.

    Beside seqinfo.ini, gt/gt.txt (9 columns) and img1/000001.jpg … it holds gt/joints.npz
    (`joints`: float32 (boxes, 17, 2) in 0-based pixels and COCO's order, rows as in gt.txt;
    `hidden`: uint8 (boxes, 17), see `mot.joints`) and scene.json (the settings).

    Raises:
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    with atomic_path(folder) as staging:
        _fill_folder(settings, staging, folder.name)
    return open_sequence(folder)


def ensure_scenes(
    root: str | os.PathLike[str],
    count: int,
    split: str = "train",
    settings: SceneSettings = SceneSettings(),  # noqa: B008 - frozen
) -> list[Sequence]:
    """Return `count` rendered scenes of a split, rendering those that are missing.

    They lie in root/synthetic-<hash of the settings>/<split>/synthetic-<split>-0001 …; scene k has
    a seed of its own that no scene of another split has. Several processes may do this at once:
    the first to finish a scene provides it.

    Args:
        root: folder for rendered data.
        count: scenes.
        split: train, val or test.
        settings: all scenes share them, the seed aside, which shifts all scenes' seeds.

    Raises:
        InputError: unknown split or a count out of range.
    """
    if split not in SPLITS:
        raise InputError("split", f"one of {', '.join(SPLITS)}", split, "choose one of them")
    if not 0 <= count < SEEDS_PER_SPLIT:
        raise InputError("scenes", f"0 to {SEEDS_PER_SPLIT - 1} scenes", count, "ask for fewer")
    home = Path(root) / f"{RENDERED}-{settings_hash(settings)}" / split
    return [
        _ensure_scene(scene_settings(settings, split, number), home / name)
        for number, name in ((k, f"{RENDERED}-{split}-{k:04d}") for k in range(1, count + 1))
    ]


def settings_hash(settings: SceneSettings) -> str:
    """Short name for settings and renderer: other settings, other hash."""
    described = json.dumps({**_plain(settings), "renderer": RENDERER}, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:10]


def scene_settings(settings: SceneSettings, split: str, number: int) -> SceneSettings:
    """Return the settings of scene `number` (from 1) of a split: the same with its own seed."""
    block = settings.seed * len(SPLITS) + SPLITS[split]
    return replace(settings, seed=block * SEEDS_PER_SPLIT + number)


def _ensure_scene(settings: SceneSettings, folder: Path) -> Sequence:
    """Open a scene folder, rendering it first if it is not there."""
    if not folder.is_dir():
        # Rendered aside and renamed without replacing: a folder that another process has put here
        # in the meantime may already be in use.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
            _fill_folder(settings, Path(aside) / folder.name, folder.name)
            try:
                os.rename(Path(aside) / folder.name, folder)
            except OSError:
                if not folder.is_dir():
                    raise
    return open_sequence(folder)


def _plain(settings: SceneSettings) -> dict[str, float]:
    """Fields as numbers; 20 and 20.0 people are the same."""
    values = {name: float(value) for name, value in asdict(settings).items() if name != "seed"}
    return {**values, "seed": settings.seed}


def _fill_folder(settings: SceneSettings, folder: Path, name: str) -> None:
    """Write all files of a scene into a new folder."""
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    boxes, joints, hidden = [], [], []
    for number, frame in enumerate(render_scene(settings), start=1):
        bgr = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / "img1" / f"{number:06d}.jpg").write_bytes(data.tobytes())
        boxes.append(frame.boxes)
        joints.append(frame.joints)
        hidden.append(frame.hidden)
    (folder / "gt" / "gt.txt").write_text(truth_rows(Boxes.concatenate(boxes)), encoding="ascii")
    np.savez_compressed(
        folder / JOINTS, joints=np.concatenate(joints), hidden=np.concatenate(hidden)
    )
    (folder / "scene.json").write_text(json.dumps(asdict(settings), indent=1) + "\n")
    (folder / SEQINFO).write_text(
        seqinfo_text(name, settings.frames, settings.width, settings.height, settings.fps)
    )
