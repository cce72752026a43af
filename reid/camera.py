"""How the camera moved between two frames, told by the background, and tracks moved along with it.

Before the linker's association: a track's predicted box is where its person would be had the camera
stood still. `CameraMotion` looks at the frames one after the other, `warp_state` moves the motion
model's state. Only what lies outside people's boxes is looked at, because people move by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.images import Image, resize
from mot.shapes import expect
from reid.motion import COVARIANCE, POSITION, VAR_POSITION, VAR_VELOCITY, VELOCITY

Array = npt.NDArray[np.float64]
Affine = npt.NDArray[np.float64]  # (2, 3): columns x, y, 1 to x, y
Grey = npt.NDArray[np.uint8]

WIDTH = 320  # pixels of the reduced frames
# Between two frames of a still camera, coded as H.264, corners of the reduced frame seem to move by
# 0.02 to 0.04 px, by 0.15 px in the worst of a hundred frames.
STILL_PX = 0.15
LARGEST_SHIFT = 0.25  # of the frame's diagonal, at its corners
LARGEST_ZOOM = 1.25  # either way, along any direction

CORNERS, CORNER_QUALITY, CORNER_DISTANCE_PX = 150, 0.01, 5
FLOW_WINDOW, FLOW_LEVELS = (13, 13), 3
# From a moving car near and far things move apart: at 0.5 px a sixth of its frames has too few
# inliers, at 1 px none.
INLIER_PX = 1.0
LEAST_INLIERS, LEAST_INLIER_SHARE = 12, 0.3
LEAST_BACKGROUND = 0.05  # share of the frame; less tells nothing
LEAST_CONTRAST = 1.0  # standard deviation of the grey values
ECC_STEPS, ECC_PRECISION, ECC_BLUR_PX = 50, 1e-5, 5


@dataclass(frozen=True)
class Background:
    """A reduced frame and where no people are in it.

    Attributes:
        grey: (h, w) uint8.
        free: (h, w) uint8, 255 where no box is, else 0.
    """

    grey: Grey
    free: Grey


def flow(before: Background, now: Background) -> Affine | None:
    """Shift, rotation and zoom by corners of the background that are followed into the new frame.

    Pyramidal Lucas-Kanade (Bouguet 2001, "Pyramidal implementation of the Lucas Kanade feature
    tracker") on Shi-Tomasi corners, then RANSAC. OpenCV seeds this RANSAC afresh in every call, so
    that the same frames give the same bytes.

    Returns:
        Map (2, 3) of reduced frames, in which 0 is the middle of the first pixel; None = unknown.
    """
    corners = cv2.goodFeaturesToTrack(
        before.grey, CORNERS, CORNER_QUALITY, CORNER_DISTANCE_PX, mask=before.free
    )
    if corners is None or len(corners) < LEAST_INLIERS:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, now.grey, corners, None, winSize=FLOW_WINDOW, maxLevel=FLOW_LEVELS
    )
    corners, moved = corners.reshape(-1, 2), moved.reshape(-1, 2)
    good = found.ravel() == 1
    good[good] = _is_free(now.free, moved[good])
    if good.sum() < LEAST_INLIERS:
        return None
    affine, inliers = cv2.estimateAffinePartial2D(
        corners[good], moved[good], method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX
    )
    if affine is None or inliers.sum() < max(LEAST_INLIERS, LEAST_INLIER_SHARE * good.sum()):
        return None
    return np.asarray(affine, np.float64)


def ecc(before: Background, now: Background) -> Affine | None:
    """The affine map under which the two backgrounds correlate best, coarse to fine.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008, "Parametric image alignment
    using enhanced correlation coefficient maximization"). Indifferent to brightness and contrast
    and good where corners are few; several times slower than `flow`, and misled by large things
    that move and have no box, such as cars.

    Returns:
        As `flow`.
    """
    if min(side.grey.std() for side in (before, now)) < LEAST_CONTRAST:
        return None
    settings = cv2.ECCParameters()
    settings.motionType = cv2.MOTION_AFFINE
    precision = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, ECC_STEPS, ECC_PRECISION)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, rough = cv2.findTransformECCMultiScale(
            before.grey, now.grey, start, settings, before.free, now.free
        )
        # On the coarse levels people leak out of their masks; the last word has the full frame.
        _, affine = cv2.findTransformECCWithMask(
            *(before.grey, now.grey, before.free, now.free, rough),
            *(cv2.MOTION_AFFINE, precision, ECC_BLUR_PX),
        )
    except cv2.error:  # its way to say that it did not converge
        return None
    return np.asarray(affine, np.float64)


METHODS: dict[str, Callable[[Background, Background], Affine | None]] = {"flow": flow, "ecc": ecc}


class CameraMotion:
    """Tells from frame to frame how the camera moved; remembers one reduced grey frame.

    Args:
        method: a key of `METHODS`.

    Raises:
        InputError: an unknown method.
    """

    def __init__(self, method: str = "flow") -> None:
        if method not in METHODS:
            raise InputError(
                "camera motion", f"one of {', '.join(METHODS)}", repr(method), "choose one"
            )
        self._method = METHODS[method]
        self._before: Background | None = None

    def estimate(
        self, image: Image, ltwh: npt.NDArray[np.floating], scale: npt.ArrayLike = 1.0
    ) -> Affine:
        """Say how the background moved since the frame before.

        Args:
            image: the next frame, uint8 (H, W, 3) RGB, at any size.
            ltwh: (N, 4) boxes of its people in pixels of the original frame.
            scale: original pixels per pixel of `image`: one number, or one for x and one for y.

        Returns:
            (2, 3) map from the previous frame's pixels to this one's, in original pixels with 0 at
            the frame's edge, as boxes have them. The identity for the first frame, a camera that
            stands still, and wherever nothing plausible was found.

        Raises:
            InputError: wrong shapes or scale, or a frame of another size than the one before.
        """
        expect(image, "H W 3", "image")
        expect(ltwh, "N 4", "ltwh")
        per_pixel = np.broadcast_to(np.asarray(scale, np.float64), (2,))
        if not (np.isfinite(per_pixel) & (per_pixel > 0)).all():
            raise InputError("scale", "finite factors above 0", scale, "give original / seen size")
        original_wh = per_pixel * (image.shape[1], image.shape[0])
        now = _reduce(image, ltwh, original_wh)
        before, self._before = self._before, now
        if before is None:
            return still()
        if before.grey.shape != now.grey.shape:
            raise InputError(
                "camera motion",
                "frames of one size",
                f"{before.grey.shape}, then {now.grey.shape} (reduced)",
                "use one CameraMotion per video",
            )
        if min(before.free.mean(), now.free.mean()) < LEAST_BACKGROUND * 255:
            return still()
        affine = self._method(before, now)
        if affine is None or not _is_move(affine, now.grey.shape):
            return still()
        return _to_original(affine, original_wh / (now.grey.shape[1], now.grey.shape[0]))


def still() -> Affine:
    """Map of a camera that stands still: the identity, (2, 3)."""
    return np.eye(2, 3)


def warp_state(state: Array, affine: Affine) -> Array:
    """Move the state of tracks along with the camera.

    Centres go through the map, their velocities through its linear part; sizes, and how fast they
    change, grow by its scale, the root of its determinant; variances by the scale's square. The
    state keeps its coordinates independent, so a rotation turns the means only, and the variances
    of x and y stay with their axes. Boxes stay upright.

    Args:
        state: (5, N, 4) of `reid.motion`, in pixels.
        affine: (2, 3) map from the previous frame to this one.

    Returns:
        (5, N, 4); for the identity the very array that was given.
    """
    if np.array_equal(affine, still()):
        return state
    expect(state, "5 N 4", "state")
    linear, shift = affine[:, :2], affine[:, 2]
    scale = np.sqrt(abs(np.linalg.det(linear)))
    moved: Array = state * scale
    moved[POSITION, :, :2] = state[POSITION, :, :2] @ linear.T + shift
    moved[VELOCITY, :, :2] = state[VELOCITY, :, :2] @ linear.T
    variances = [VAR_POSITION, COVARIANCE, VAR_VELOCITY]
    moved[variances] = state[variances] * scale**2
    return moved


def _reduce(image: Image, ltwh: npt.NDArray[np.floating], original_wh: Array) -> Background:
    """Reduce a frame to grey, `WIDTH` square pixels wide, and mark the boxes in it."""
    width = min(WIDTH, image.shape[1])
    height = max(1, round(width * original_wh[1] / original_wh[0]))
    grey = resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (height, width))
    free = np.full((height, width), 255, np.uint8)
    share = np.tile((width, height) / original_wh, 2)
    boxes = np.asarray(ltwh, np.float64) * share
    first = np.floor(boxes[:, :2]).clip(0, (width, height)).astype(int)
    last = np.ceil(boxes[:, :2] + boxes[:, 2:]).clip(0, (width, height)).astype(int)
    for (left, top), (right, bottom) in zip(first, last, strict=True):
        free[top:bottom, left:right] = 0
    return Background(grey, free)


def _is_move(affine: Affine, size_hw: tuple[int, ...]) -> bool:
    """Whether a camera moves like this between two frames: more than noise and not wildly.

    Args:
        affine: (2, 3) map of a reduced frame.
        size_hw: its height and width.
    """
    if not np.isfinite(affine).all():
        return False
    height, width = size_hw
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    shift = np.hypot(*(corners @ affine[:, :2].T + affine[:, 2] - corners).T).max()
    zooms = np.linalg.svd(affine[:, :2], compute_uv=False)
    near = STILL_PX <= shift <= LARGEST_SHIFT * np.hypot(height, width)
    upright = np.linalg.det(affine[:, :2]) > 0
    return bool(near and upright and 1 / LARGEST_ZOOM <= zooms[1] and zooms[0] <= LARGEST_ZOOM)


def _is_free(free: Grey, points: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Mark the points (N, 2) that lie inside the frame and outside people's boxes."""
    height, width = free.shape
    x, y = np.floor(points + 0.5).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside_boxes = free[y.clip(0, height - 1), x.clip(0, width - 1)] > 0
    return np.asarray(inside & outside_boxes)


def _to_original(affine: Affine, per_pixel: Array) -> Affine:
    """From reduced pixels, whose first has its middle at 0, to original ones with the edge at 0."""
    linear, shift = affine[:, :2], affine[:, 2]
    half = np.full(2, 0.5)
    shift = shift + half - linear @ half
    linear = linear * per_pixel[:, None] / per_pixel[None, :]
    return np.column_stack([linear, shift * per_pixel])
