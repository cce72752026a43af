"""Where a pose net's people come from: rendered scenes, or files of keypoints beside images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labelmaps.cache import cached_frames
from mot.errors import InputError, require_setting
from mot.formats.keypoints_json import read_keypoints
from mot.scene_keypoints import scene_keypoints
from mot.synthetic import SceneSettings, ensure_scenes
from nets.pose_crops import BlockPoses, FilePoses, PoseSource

# Near enough to have 17 points, few enough frames a second that poses differ.
POSE_SCENES = SceneSettings(
    frames=24, fps=4.0, width=448, height=256, people=10, min_height=48, max_height=140
)


@dataclass(frozen=True)
class PoseDataSettings:
    """Whose poses to learn or to measure."""

    poses: tuple[str, ...] = ()
    """COCO or PoseTrack files; none = rendered scenes."""
    images: tuple[str, ...] = ()
    """Folder of each file's images, in the same order."""
    scenes: int = 80
    """Rendered scenes."""
    cache: str = "data/cache"
    """Folder of the frame blocks; scenes lie beside it."""

    def __post_init__(self) -> None:
        for name in ("poses", "images"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        pairs = len(self.images) == len(self.poses)
        require_setting(self, "images", pairs, f"{len(self.poses)}, a folder for each file")
        require_setting(self, "scenes", self.scenes >= 1, "at least 1")


def pose_sources(settings: PoseDataSettings, split: str) -> list[PoseSource]:
    """Open what the settings name: files, or so many rendered scenes of a split.

    Raises:
        InputError: malformed files, or a folder that is not there.
    """
    if not settings.poses:
        return [*scene_sources(settings.scenes, split, Path(settings.cache), POSE_SCENES)]
    sources: list[PoseSource] = []
    for file, folder in zip(settings.poses, settings.images, strict=True):
        if not Path(folder).is_dir():
            raise InputError("--images", "a folder of images", folder, "name the one of the file")
        sources.append(FilePoses.of(Path(file), read_keypoints(Path(file)), Path(folder)))
    return sources


def scene_sources(count: int, split: str, cache: Path, scenes: SceneSettings) -> list[BlockPoses]:
    """Rendered scenes with their joints, rendered and cached where they are missing."""
    sources = []
    for sequence in ensure_scenes(cache.parent, count, split=split, settings=scenes):
        block, keypoints = cached_frames(sequence, cache), scene_keypoints(sequence)
        factors = np.array([block.scale_x, block.scale_y], np.float32)
        scaled = replace(
            keypoints, xy=keypoints.xy * factors, ltwh=keypoints.ltwh * np.tile(factors, 2)
        )
        sources.append(BlockPoses(sequence.name, block, scaled))
    return sources
