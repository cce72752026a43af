"""What a frame shows beside its detections: how the camera moved, and what people look like."""

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
        camera: (2, 3) map from the previous frame's pixels to this one's; None = it stands still.
        look: embeds boxes of this frame; None = nobody can.
    """

    camera: Affine | None = None
    look: Look | None = None


BLIND = Sight()
