"""Detectors as teachers: files to boxes of people, and on whom two agree.

Known are the detectors of the Open Model Zoo with SSD outputs (person-detection-*) and NanoDet-Plus
as OpenVINO files, and nets of one's own: what one has learned teaches the next one.
`nets.pseudo_labels` labels frames with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from mot.boxes import iou_matrix
from mot.errors import InputError
from mot.images import Image
from nets.predict import Predictor, PredictSettings, input_size, load_net
from nets.run_openvino import read_file

Array = npt.NDArray[np.float32]
Detections = tuple[Array, Array]
Detect = Callable[[Image], Detections]

WEAKEST = 0.15  # scores below say nothing
SAME_IOU = 0.55  # two boxes of one teacher, or of two, are one person's
SSD_PX = (544 * 320, 960 * 544)  # pixels at which an SSD looks at a frame, one after the other
SHAPES_KEPT = 8  # compiled for so many frame sizes at once: photos come in many
LONG_FRAME = 1.2  # from this side ratio on NanoDet looks at squares of the frame as well
# A net of one's own takes its time: it looks twice at two sizes. torch takes photos of any size.
OWN_NET = PredictSettings(flip=True, scales=(0.7,), backend="torch")
NANODET_MEAN, NANODET_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # BGR
NANODET_CLASSES = 80
NANODET_STRIDES = (8, 16, 32, 64)


@dataclass(frozen=True)
class Teacher:
    """A detector of people.

    Attributes:
        name: of its file.
        detect: RGB image (H, W, 3) → boxes ltwh (N, 4) in its pixels and scores (N,) in 0..1.
    """

    name: str
    detect: Detect


def load_teacher(path: Path) -> Teacher:
    """Load a detector; the shape of its output says of which kind it is.

    Raises:
        InputError: a missing file, one that OpenVINO cannot read, an output of another shape, or a
            net of one's own that sees several frames at once or gives no boxes.
    """
    if not path.is_file():
        expected = "a detector (.xml) or weights (.safetensors)"
        raise InputError(path, expected, "no such file", "name one with --teachers")
    if path.suffix.lower() == ".safetensors":
        return Teacher(path.stem, _own_net(path))
    graph = read_file(path)
    shape = graph.outputs[0].get_partial_shape()
    columns = shape[len(shape) - 1].get_length() if len(shape) else 0
    if columns == 7:
        return Teacher(path.stem, _ssd(graph))
    if columns > NANODET_CLASSES and (columns - NANODET_CLASSES) % 4 == 0:
        return Teacher(path.stem, _nanodet(graph))
    expected = "rows of 7 (SSD) or of 80 scores and 4 distances (NanoDet)"
    raise InputError(path, expected, f"output {shape}", "name another detector")


def _own_net(path: Path) -> Detect:
    """Look with a net that was trained here; its calibrated scores are shares of people."""
    trained = load_net(path)
    settings = trained.notes.settings
    if settings.frames != 1 or "box" not in settings.heads:
        got = f"T {settings.frames}, heads {' '.join(settings.heads)}"
        raise InputError(path, "a net of one frame with a box head", got, "name another net")
    predictor = Predictor(trained, OWN_NET)

    def detect(image: Image) -> Detections:
        [seen] = predictor.predict_images([image])
        strong = seen.detections.score >= WEAKEST
        return seen.detections.ltwh[strong], seen.detections.score[strong]

    return detect


def _compiled(graph: Any) -> Callable[[Array], Array]:
    import openvino as ov

    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda batch: np.asarray(compiled([batch])[0])


def _planes(image: Image) -> Array:
    """RGB (H, W, 3) uint8 to BGR (1, 3, H, W) float32 in 0..255."""
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)[None], np.float32)


def _ssd(graph: Any) -> Detect:
    """Look at the frame at two sizes in its own shape; rows are image, class, score, corners."""

    @lru_cache(maxsize=SHAPES_KEPT)
    def net_for(size: tuple[int, int]) -> Callable[[Array], Array]:
        fitted = graph.clone()
        fitted.reshape([1, 3, *size])
        return _compiled(fitted)

    def look(image: Image, pixels: int) -> Detections:
        height, width = image.shape[:2]
        size = input_size((height, width), pixels)
        small = cv2.resize(image, size[::-1], None, 0, 0, cv2.INTER_AREA)
        rows = net_for(size)(_planes(np.asarray(small))).reshape(-1, 7)
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 2] >= WEAKEST)]
        corners = rows[:, 3:].clip(0, 1) * np.array([width, height] * 2, np.float32)
        return _to_ltwh(corners), rows[:, 2].astype(np.float32)

    return lambda image: _merged([look(image, pixels) for pixels in SSD_PX])


def _nanodet(graph: Any) -> Detect:
    """Look at the whole frame, and at squares of a long one; people are COCO's class 0."""
    net = _compiled(graph)
    side = int(graph.inputs[0].get_partial_shape()[3].get_length())
    points = np.concatenate([_grid(side, stride) for stride in NANODET_STRIDES])

    def look(image: Image, left: int, top: int) -> Detections:
        height, width = image.shape[:2]
        factor = side / max(height, width)
        size = round(width * factor), round(height * factor)
        square = np.zeros((side, side, 3), np.uint8)
        square[: size[1], : size[0]] = cv2.resize(image, size, None, 0, 0, cv2.INTER_AREA)
        planes = _planes(square)
        for channel in range(3):
            planes[:, channel] = (planes[:, channel] - NANODET_MEAN[channel]) / NANODET_STD[channel]
        rows = net(planes)[0]
        good = rows[:, 0] >= WEAKEST
        rows, centre = rows[good], points[good]
        bins = rows[:, NANODET_CLASSES:].reshape(
            len(rows), 4, (rows.shape[1] - NANODET_CLASSES) // 4
        )
        # Generalised focal loss: a distance is the mean of a distribution over whole strides.
        distances = softmax(bins, axis=2) @ np.arange(bins.shape[2]) * centre[:, 2:]
        corners = np.concatenate(
            [centre[:, :2] - distances[:, :2], centre[:, :2] + distances[:, 2:]], 1
        )
        shift = np.array([left, top] * 2)
        limit = np.array([width, height] * 2)
        return _to_ltwh(np.clip(corners / factor, 0, limit) + shift), rows[:, 0].astype(np.float32)

    return lambda image: _merged([look(*square) for square in _squares(image)])


def _grid(side: int, stride: int) -> Array:
    """Centre x, y and stride of each cell (cells, 3), row by row."""
    cells = -(-side // stride)
    rows, columns = np.divmod(np.arange(cells * cells), cells)
    return np.stack([columns * stride, rows * stride, np.full(len(rows), stride)], 1).astype(
        np.float32
    )


def _squares(image: Image) -> Iterator[tuple[Image, int, int]]:
    """The frame and, where it is long, overlapping squares along it, with left and top."""
    height, width = image.shape[:2]
    short, long = sorted((height, width))
    yield image, 0, 0
    if long / short < LONG_FRAME:
        return
    count = int(np.ceil(long / short * 1.5))
    for start in np.linspace(0, long - short, count).round().astype(int):
        if width >= height:
            yield image[:, start : start + short], int(start), 0
        else:
            yield image[start : start + short], 0, int(start)


def _to_ltwh(corners: npt.NDArray[np.floating]) -> Array:
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1).astype(np.float32)


def _merged(looks: Sequence[Detections]) -> Detections:
    """Detections of several looks, the weaker of two on one person left out."""
    ltwh = np.concatenate([boxes for boxes, _ in looks])
    score = np.concatenate([scores for _, scores in looks])
    kept = np.array(cv2.dnn.NMSBoxes(ltwh.tolist(), score.tolist(), 0.0, SAME_IOU), np.int64)
    return ltwh[kept], score[kept]


@dataclass(frozen=True)
class Verdict:
    """What teachers say of a frame, boxes ltwh in its pixels.

    Attributes:
        people: on whom two teachers agree (N, 4), the mean of both boxes by score.
        doubtful: where only one sees somebody, or both are unsure (M, 4).
    """

    people: Array
    doubtful: Array


def judge_frame(
    opinions: Sequence[Detections], *, sure: float = 0.5, second: float = 0.3, alone: float = 0.4
) -> Verdict:
    """Tell people from doubts: somebody needs one teacher who is sure and a second who sees them.

    Args:
        opinions: (ltwh, scores) of each teacher.
        sure: least score of the best teacher.
        second: least score of the second best.
        alone: least score from which on a box that is no person is doubtful.
    """
    ltwh = np.concatenate([boxes for boxes, _ in opinions])
    score = np.concatenate([scores for _, scores in opinions])
    whose = np.repeat(np.arange(len(opinions)), [len(scores) for _, scores in opinions])
    order = np.argsort(-score, kind="stable")
    ltwh, score, whose = ltwh[order], score[order], whose[order]
    alike = iou_matrix(ltwh, ltwh) >= SAME_IOU
    free = np.ones(len(score), bool)
    people, doubtful = [], []
    for row in range(len(score)):
        if not free[row]:
            continue
        group = np.flatnonzero(alike[row] & free & (whose != whose[row]))
        # One box of each other teacher, its best: rows are sorted by score.
        group = group[np.unique(whose[group], return_index=True)[1]]
        free[row] = free[group] = False
        if score[row] >= sure and (score[group] >= second).any():
            members = np.append(group, row)
            people.append(np.average(ltwh[members], axis=0, weights=score[members]))
        elif score[row] >= alone:
            doubtful.append(ltwh[row])
    return Verdict(*(np.array(boxes, np.float32).reshape(-1, 4) for boxes in (people, doubtful)))
