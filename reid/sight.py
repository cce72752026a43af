"""What a frame shows beside its detections: how many there are, the camera's motion, looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.camera import Affine

# Boxes (N, 4) left, top, width, height in original pixels to embeddings (N, C) of length 1.
Look = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Sight:
    """Asked for frame by frame; a linker without it goes by boxes alone.

    Attributes:
        count: number of people by density; None = unknown.
        camera: (2, 3) map from the previous frame's pixels to this one's; None = it stands still.
        look: embeds boxes of this frame; None = nobody can.
    """

    count: float | None = None
    camera: Affine | None = None
    look: Look | None = None


BLIND = Sight()
