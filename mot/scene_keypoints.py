"""Joints of rendered scenes as keypoints, and as a COCO file.

    python -m mot.scene_keypoints SCENE --out keypoints.json

SCENE is a folder that `mot.synthetic` wrote. Joints outside of the frame are not labelled; those
behind the own body, other people or things are labelled as hidden.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro

from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.formats.keypoints_json import write_keypoints
from mot.joints import OUTSIDE
from mot.joints import SEEN as IN_SIGHT
from mot.keypoints import HIDDEN, SEEN, UNLABELLED, Keypoints
from mot.sequence import Sequence, open_sequence
from mot.synthetic import JOINTS


@dataclass(frozen=True, kw_only=True)
class SceneKeypointsFlags:
    """Write the joints of a rendered scene as COCO keypoints."""

    scene: tyro.conf.Positional[Path]
    """Folder of the scene."""
    out: Path
    """COCO file to write."""


def scene_keypoints(sequence: Sequence) -> Keypoints:
    """Keypoints of a rendered scene, rows as in its truth.

    Raises:
        InputError: the folder is no rendered scene of this version.
    """
    boxes = sequence.truth()
    joints, hidden = read_joints(sequence.folder)
    if len(joints) != len(boxes):
        where, got = sequence.folder / JOINTS, f"{len(joints)} rows"
        raise InputError(where, f"{len(boxes)} rows as in gt.txt", got, "render the scene again")
    known = np.where(hidden == IN_SIGHT, SEEN, HIDDEN)
    return Keypoints(
        frame=boxes.frame.astype(np.int64),
        id=boxes.id.astype(np.int64),
        ltwh=boxes.ltwh,
        xy=joints,
        visibility=np.where(hidden == OUTSIDE, UNLABELLED, known).astype(np.uint8),
    )


def read_joints(folder: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Joints (N, 17, 2) of a scene's folder, and what hides them (N, 17); see `mot.joints`.

    Raises:
        InputError: no such file in the folder, a broken one, or one of an earlier version.
    """
    path = folder / JOINTS
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["joints"], arrays["hidden"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        expected = "joints of a rendered scene, and what hides them"
        got = "none" if not path.is_file() else f"another file ({error})"
        raise InputError(path, expected, got, "render the scene again") from error


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    flags = parse_flags(SceneKeypointsFlags, arguments, description=__doc__)
    sequence = open_sequence(flags.scene)
    images = {n: f"{sequence.name}/img1/{n:06d}.jpg" for n in range(1, sequence.length + 1)}
    size = sequence.width, sequence.height
    write_keypoints(flags.out, scene_keypoints(sequence), images, size)
    print(flags.out)


if __name__ == "__main__":
    one_line_errors(main)()
