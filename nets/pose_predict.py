"""A trained pose net at work: boxes of people in a frame to their keypoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from labelmaps.keypoints import MIN_SIGMA_CELLS, find_keypoints
from mot.errors import InputError
from mot.images import Image
from mot.yaml_settings import build_settings
from nets.clip_net import ClipNet
from nets.menu import build_net
from nets.pose_crops import CropWindow, PoseCropSettings
from nets.pose_job import KIND
from nets.settings import NetSettings
from nets.training import choose_device
from nets.weights import check_state, load_weights

BATCH = 64


@dataclass(frozen=True)
class Pose:
    """Keypoints of N people in T frames.

    Attributes:
        xy: float32 (N, T, K, 2) in pixels of the frames.
        score: float32 (N, T, K), the maps' values at the points, about 1 where they are sure.
        heat: float32 (N, T, K, h, w), the maps, in the units of `labelmaps.keypoints`.
        crops: uint8 (N, T, H, W, 3), what the net saw.
        windows: where they were cut.
    """

    xy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    heat: npt.NDArray[np.float32]
    crops: Image
    windows: tuple[CropWindow, ...]


class PoseNet:
    """A pose net with what it needs to be used.

    Attributes:
        net: in eval mode, on `device`.
        crops: how the crops that it learned on were cut.
        names: of the points, in the order of its maps.
        frames: T, frames per clip.
    """

    def __init__(self, net: ClipNet, crops: PoseCropSettings, device: torch.device) -> None:
        self.net = net.to(device).eval()
        self.crops, self.device = crops, device
        self.names, self.frames = net.settings.keypoints, net.settings.frames

    @classmethod
    def load(cls, path: Path | str, device: str = "auto") -> PoseNet:
        """Load what `nets.pose` wrote.

        Raises:
            InputError: no such file, or weights of another kind of net.
        """
        state, metadata = load_weights(path)
        if metadata.get("kind") != KIND:
            got = metadata.get("kind", "a net that maps no keypoints")
            raise InputError(path, "weights of python -m nets.pose", got, "name others")
        settings, crops = _notes(metadata, path)
        net = build_net(settings)
        check_state(net, state, where=str(path))
        net.load_state_dict(state)
        return cls(net, crops, choose_device(device))

    @property
    def sigma_cells(self) -> float:
        """Width of the Gaussians that the net learned, for a box that fills its crop's height."""
        side = self.crops.crop[0] / self.crops.margin / self.net.settings.stride
        return max(self.crops.sigma * side, MIN_SIGMA_CELLS)

    def predict(self, clips: Many[Many[Image]], ltwh: npt.ArrayLike) -> Pose:
        """Find the points of people.

        Args:
            clips: N × T frames (H, W, 3), those in which each person is looked for.
            ltwh: (N, 4) their boxes: left, top, width, height in pixels of the frames.
        """
        boxes = np.asarray(ltwh, np.float64).reshape(-1, 4)
        windows = tuple(CropWindow.around(box, self.crops) for box in boxes)
        crops = np.stack(
            [
                np.stack([window.cut(image) for image in clip])
                for clip, window in zip(clips, windows, strict=True)
            ]
        )
        images = torch.from_numpy(crops).permute(0, 1, 4, 2, 3)
        heats = []
        with torch.inference_mode():
            for first in range(0, len(images), BATCH):
                part = images[first : first + BATCH].to(self.device)
                heats.append(as_heat(self.net(part)["keypoints"], self.sigma_cells))
        heat = np.concatenate(heats)
        xy, score = find_keypoints(heat, stride=self.net.settings.stride)
        placed = [window.to_frame(points) for window, points in zip(windows, xy, strict=True)]
        return Pose(np.stack(placed), score, heat, crops, windows)


def _notes(metadata: Mapping[str, str], path: Path | str) -> tuple[NetSettings, PoseCropSettings]:
    """What the weights say of the net and of the crops that it takes.

    Raises:
        InputError: notes that are missing or that this version does not know.
    """
    missing = [name for name in ("settings", "crops") if name not in metadata]
    if missing:
        got = f"a file whose metadata lacks {' and '.join(missing)}"
        raise InputError(path, "weights of python -m nets.pose", got, "train the net again")
    try:
        crops = json.loads(metadata["crops"])
    except ValueError as error:
        raise InputError(path, "crop settings as JSON", error, "train the net again") from error
    known = build_settings(PoseCropSettings, crops, f"{path}: crops")
    return NetSettings.from_json(metadata["settings"], path), cast(PoseCropSettings, known)


def as_heat(logits: torch.Tensor, sigma_cells: float) -> npt.NDArray[np.float32]:
    """Logits (..., h, w) to maps whose peak is about 1 where the net is sure.

    The softmax is a distribution over cells; a Gaussian of mass 1 is 1/2πσ² at its peak.
    """
    share = torch.softmax(logits.float().flatten(-2), dim=-1).reshape(logits.shape)
    heat: npt.NDArray[np.float32] = (share * (2 * np.pi * sigma_cells**2)).cpu().numpy()
    return heat
