"""The eyes of a linker: crops straight from decoded frames, embedded in one batch."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.images import Image
from nets.backends import Engine
from reid.camera import CameraMotion
from reid.crops import cut
from reid.embedder import Embedder
from reid.embedding import crop_embedder
from reid.settings import LinkerSettings
from reid.sight import Look, Sight


class Looker:
    """Frames of one video to what a linker asks of them.

    Args:
        embedder: knows people by their looks; None = nobody does.
        settings: of the linker, for the camera's motion and whether looks count.
        size_wh: width and height of the original frames, in whose pixels boxes are.
        engine: how to compute embeddings.

    Attributes:
        camera: tells its motion; all that is remembered from one frame to the next.
    """

    def __init__(
        self,
        embedder: Embedder | None,
        settings: LinkerSettings,
        size_wh: tuple[int, int],
        *,
        engine: Engine = Engine(),  # noqa: B008 - frozen
    ) -> None:
        self._embedder = embedder if settings.reid_gap_s > 0 else None
        self.camera = None if settings.camera == "none" else CameraMotion(settings.camera)
        self._size = np.array(size_wh, np.float64)
        self._engine = engine

    def __call__(self, image: Image, detections: Boxes, *, count: float | None = None) -> Sight:
        """See a frame; call it for every frame in order.

        Args:
            image: (H, W, 3) RGB, at any size.
            detections: its people, in original pixels.
            count: number of people by density, where it is known.
        """
        scale = self._size / (image.shape[1], image.shape[0])
        camera = None
        if self.camera is not None:
            camera = self.camera.estimate(image, detections.ltwh, scale)
        look: Look | None = None
        if self._embedder is not None:
            look = partial(self._look, self._embedder, image, 1 / np.tile(scale, 2))
        return Sight(count, camera, look)

    def _look(
        self,
        embedder: Embedder,
        image: Image,
        scale: npt.NDArray[np.float64],
        ltwh: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float32]:
        height, width = image.shape[:2]
        boxes = ltwh * scale
        # A filter's box may lie just outside; there is always a pixel of the frame to look at.
        boxes[:, :2] = np.clip(boxes[:, :2], 1 - boxes[:, 2:], (width - 1, height - 1))
        crops = (cut(image, box, embedder.settings.size) for box in boxes)
        # Made when somebody is looked at for the first time: in many videos nobody is.
        return crop_embedder(embedder, self._engine)(crops)
