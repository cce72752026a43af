"""What a net says of itself: all that running it needs beside its numbers, as text in its file.

The same notes travel in a weights file, an ONNX file, an OpenVINO model and a TorchScript file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from nets.settings import NetSettings

FloatMap = npt.NDArray[np.float32]
CALIBRATION = "calibration"  # key of a file's metadata
SIZE_GRID = 32  # input sizes are multiples of this many pixels: every stride divides them
LEAST_PX = f"at least {SIZE_GRID**2} pixels"
REMEDY = "train or calibrate the net again"


@dataclass(frozen=True)
class Calibration:
    """A rising curve from the centre head's score to the share of detections that are people.

    Attributes:
        score: knots, ascending.
        share: 0..1 at the knots; between them linear, beyond them constant.

    Raises:
        InputError: no knots, or another number of shares than of scores.
    """

    score: tuple[float, ...] = (0.0, 1.0)
    share: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not self.score or len(self.score) != len(self.share):
            got = f"{len(self.score)} scores, {len(self.share)} shares"
            raise InputError("calibration", "a share for each score", got, "calibrate again")

    def __call__(self, score: FloatMap) -> FloatMap:
        """Map scores (N,) to shares (N,)."""
        return np.interp(score, self.score, self.share).astype(np.float32)


@dataclass(frozen=True)
class NetNotes:
    """A net's notes.

    Attributes:
        settings: its shape: T, stride, heads and how it was built.
        test_px: pixels per frame that it was trained for.
        calibration: of its scores (nets.calibrate); the scores as they are, where there is none.
        precision: of the numbers in its file: fp32, fp16 (weights only), bf16 or int8.
    """

    settings: NetSettings
    test_px: int
    calibration: Calibration = Calibration()
    precision: str = "fp32"

    def to_metadata(self) -> dict[str, str]:
        """Text by key, for a file's metadata."""
        return {
            "settings": self.settings.to_json(),
            "test_px": str(self.test_px),
            CALIBRATION: json.dumps([self.calibration.score, self.calibration.share]),
            "precision": self.precision,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: object) -> NetNotes:
        """Read what `to_metadata`, a training or a calibration wrote; other keys are let be.

        Raises:
            InputError: a file of something else, or values that cannot be used.
        """
        missing = [name for name in ("settings", "test_px") if name not in metadata]
        if missing:
            got = f"a file whose metadata lacks {' and '.join(missing)}"
            remedy = "name RUN/weights.safetensors, or what python -m nets.export made of it"
            raise InputError(where, "weights of a Footfall net", got, remedy)
        settings = NetSettings.from_json(metadata["settings"], where=where)
        try:
            score, share = json.loads(metadata.get(CALIBRATION, "[[0, 1], [0, 1]]"))
            curve = Calibration(tuple(map(float, score)), tuple(map(float, share)))
            test_px = int(metadata["test_px"])
        except (TypeError, ValueError) as error:
            expected = "numbers as test_px and calibration"
            raise InputError(where, expected, error, REMEDY) from error
        if test_px < SIZE_GRID**2:
            raise InputError(where, f"{LEAST_PX} per frame as test_px", test_px, REMEDY)
        return cls(settings, test_px, curve, metadata.get("precision", "fp32"))
