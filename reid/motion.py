"""Where tracks will be in the next frame: motion models over all tracks at once, as arrays.

The linker asks a model of `MOTIONS` to start, predict and correct; the state of N tracks is one
float64 array (5, N, 4), so selecting, joining and stepping tracks is array arithmetic.

A constant-velocity Kalman filter whose noises are independent per coordinate never mixes centre x,
centre y, width and height: the 8×8 covariance of each track is four 2×2 blocks (position and
velocity), stored as three numbers each. That is exact, not an approximation.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# First axis of a state: mean and covariance of each coordinate (last axis: centre x, y, w, h).
POSITION, VELOCITY, VAR_POSITION, COVARIANCE, VAR_VELOCITY = range(5)
_SIZES = np.array([2, 3, 2, 3])  # width and height, for each of x, y, w and h

# A predicted width or height keeps at least this share of the last one, so that a box which
# shrinks fast stays a box.
_KEPT_SIZE = 0.5


class Motion(Protocol):
    """What the linker asks of a motion model.

    States are (5, N, 4) float64, boxes (N, 4) centre x, centre y, width, height in pixels.
    """

    def start(self, xywh: Array) -> Array:
        """State of new tracks from their first boxes."""

    def predict(self, state: Array, seconds: float, hidden: npt.NDArray[np.bool_]) -> Array:
        """State `seconds` later; `hidden` (N,) marks tracks that were not seen last."""

    def correct(self, state: Array, xywh: Array) -> Array:
        """State after each track met a measured box."""


class Hold:
    """No motion: a track stays where it was last measured."""

    def start(self, xywh: Array) -> Array:
        """See `Motion.start`."""
        state = np.zeros((5, *xywh.shape))
        state[POSITION] = xywh
        return state

    def predict(self, state: Array, seconds: float, hidden: npt.NDArray[np.bool_]) -> Array:
        """See `Motion.predict`."""
        return state

    def correct(self, state: Array, xywh: Array) -> Array:
        """See `Motion.correct`."""
        return self.start(xywh)


class Kalman:
    """Constant velocity with box-relative noise: x and w relative to the width, y and h the height.

    Velocities are in pixels per second, so that one set of noises serves every frame rate.
    Textbook equations (R. E. Kalman 1960; continuous white-noise acceleration as in Bar-Shalom, Li,
    Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, §6.2), written out
    for 2×2 blocks; box-relative noise as in DeepSORT (arXiv:1703.07402).

    Args:
        measurement_noise: standard deviation of a measured coordinate, in box sizes.
        position_noise: random walk of the position, in box sizes per √s.
        velocity_noise: random walk of the velocity, in box sizes per s per √s.
        start_speed: standard deviation of a new track's velocity, in box sizes per s.
    """

    def __init__(
        self,
        measurement_noise: float,
        position_noise: float,
        velocity_noise: float,
        start_speed: float,
    ) -> None:
        self._measurement = measurement_noise**2
        self._position = position_noise**2
        self._velocity = velocity_noise**2
        self._start_speed = start_speed**2

    def start(self, xywh: Array) -> Array:
        """State of new tracks, at rest, as uncertain as the measurement and `start_speed` say."""
        size = _squared_size(xywh)
        still = np.zeros_like(xywh)
        return np.array([xywh, still, self._measurement * size, still, self._start_speed * size])

    def predict(self, state: Array, seconds: float, hidden: npt.NDArray[np.bool_]) -> Array:
        """State `seconds` later; hidden tracks keep their size, because nothing measures it."""
        later = state.copy()
        position, velocity, var_position, covariance, var_velocity = later
        np.copyto(velocity[:, 2:], 0.0, where=hidden[:, None])
        size = _squared_size(position)
        walk = (self._velocity * seconds) * size
        # Each is stepped in place, after those that are computed from its old value.
        var_position += seconds * (2 * covariance + seconds * (var_velocity + walk / 3))
        var_position += (self._position * seconds) * size
        covariance += seconds * (var_velocity + walk / 2)
        var_velocity += walk
        least = _KEPT_SIZE * position[:, 2:]
        position += seconds * velocity
        np.maximum(position[:, 2:], least, out=position[:, 2:])
        return later

    def correct(self, state: Array, xywh: Array) -> Array:
        """State after each track met a measured box."""
        better = state.copy()
        innovation = xywh - state[POSITION]
        variance = state[VAR_POSITION] + self._measurement * _squared_size(state[POSITION])
        # Of position and velocity at once, as they lie together in the state.
        gains = state[VAR_POSITION : COVARIANCE + 1] / variance
        better[: VELOCITY + 1] += gains * innovation
        better[VAR_POSITION : COVARIANCE + 1] *= 1 - gains[0]
        better[VAR_VELOCITY] -= gains[1] * state[COVARIANCE]
        return better


def _squared_size(xywh: Array) -> Array:
    """Square of the length each coordinate's noise is relative to: w, h, w, h."""
    size = xywh.take(_SIZES, axis=1)
    return size * size


def centred(ltwh: npt.NDArray[np.floating]) -> Array:
    """Left, top, w, h to centre x, centre y, w, h; (N, 4) float64, each column in one piece."""
    columns = np.array(ltwh.T, dtype=np.float64, order="C")
    columns[:2] += columns[2:] / 2
    return columns.T


def cornered(xywh: Array) -> Array:
    """Centre x, centre y, w, h to left, top, w, h; (N, 4) float64, each column in one piece."""
    columns = xywh.T.copy()
    columns[:2] -= columns[2:] / 2
    return columns.T
