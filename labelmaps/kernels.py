"""The menu of label-map kernels: what one person looks like in a map, by box.

`DensityKernel`s are added up and hold exactly one person each; `HeatKernel`s are combined by
maximum and are 1 at each person's centre cell. `labelmaps.render` paints both. A new kind is one
entry in `MENU`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Array = npt.NDArray[np.float64]

GAUSSIAN_SIGMA_PX = 8.0  # of the fixed Gaussian, about a head's width in a 544 × 960 frame
GAUSSIAN_CUT = 4.0  # Gaussians end at this many sigmas
ADAPTIVE_SIGMA = 1 / 6  # of the box's side: the box spans ±3 sigma
CENTRE_SIGMA = (0.14, 0.10)  # of box width and height
CENTRE_MIN_SIGMA_CELLS = 0.6  # keeps the neighbours of a tiny person's peak above 0
CENTRE_CUT = 3.0  # sigmas; exp(-4.5) = 0.011
FIDT_ALPHA, FIDT_BETA, FIDT_C = 0.02, 0.75, 1.0  # arXiv:2102.07925, eq. 3
FIDT_CUT_PX = 30.0  # where the map has fallen to 0.01


@dataclass(frozen=True)
class DensityKernel:
    """A separable kernel k(u)·k(v) with |u|, |v| ≤ 1 over a window around the person's centre.

    Attributes:
        cumulative: integral of the profile k up to u in -1..1, up to scale and offset. Cells get
            differences of it, i.e. the kernel's exact integral over the cell.
        reach_px: box sizes (N, 2) width, height in px → half extents of the window (N, 2) in px.
    """

    cumulative: Callable[[Array], Array]
    reach_px: Callable[[Array], Array]


@dataclass(frozen=True)
class HeatKernel:
    """A value that falls with the distance to the nearest person, in units of that person.

    Attributes:
        fall: squared distance d² ≥ 0 (any shape) → value, 1 at 0.
        unit_px: box sizes (N, 2) and stride in px → what counts as distance 1 in x and y (N, 2).
        cut: distance from which on a person is not looked at.
    """

    fall: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    unit_px: Callable[[Array, int], Array]
    cut: float


def quadratic_cumulative(u: Array) -> Array:
    """Integral of the quadratic bump 3/4·(1 − u²), the kernel of 2019."""
    return 0.75 * u - 0.25 * u**3


def gaussian_cumulative(u: Array) -> Array:
    """Integral of a Gaussian that ends at ±GAUSSIAN_CUT sigmas (u = ±1)."""
    return np.asarray(ndtr(GAUSSIAN_CUT * u))


def box_cumulative(u: Array) -> Array:
    """Integral of a constant."""
    return u


def point_cumulative(u: Array) -> Array:
    """Integral of a Dirac impulse; a centre on the line between cells belongs to the later one."""
    return (u > 0).astype(np.float64)


def of_box(share: float) -> Callable[[Array], Array]:
    """Reach that is `share` of the box's half width and half height."""
    return lambda sizes: sizes * (share / 2)


def fixed_px(reach: float) -> Callable[[Array], Array]:
    """Reach that is the same for every person."""
    return lambda sizes: np.full_like(sizes, reach)


def gaussian_fall(d2: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """exp(−d²/2)."""
    value: npt.NDArray[np.float32] = np.exp(np.float32(-0.5) * d2)
    return value


def fidt_fall(d2: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Focal inverse distance transform 1 / (P^(αP + β) + C), P = d in px (arXiv:2102.07925)."""
    distance = np.sqrt(d2)
    exponent = np.float32(FIDT_ALPHA) * distance + np.float32(FIDT_BETA)
    value: npt.NDArray[np.float32] = 1 / (distance**exponent + np.float32(FIDT_C))
    return value


def centre_unit_px(sizes: Array, stride: int) -> Array:
    """Sigmas of the detection heatmap: shares of the box, not below a part of a cell."""
    return np.maximum(sizes * CENTRE_SIGMA, CENTRE_MIN_SIGMA_CELLS * stride)


def one_px(sizes: Array, stride: int) -> Array:
    """Distances in pixels whatever the box."""
    return np.ones_like(sizes)


MENU: dict[str, DensityKernel | HeatKernel] = {
    "quadratic": DensityKernel(quadratic_cumulative, of_box(1.0)),
    "gaussian": DensityKernel(gaussian_cumulative, fixed_px(GAUSSIAN_CUT * GAUSSIAN_SIGMA_PX)),
    "adaptive": DensityKernel(gaussian_cumulative, of_box(2 * GAUSSIAN_CUT * ADAPTIVE_SIGMA)),
    "half": DensityKernel(quadratic_cumulative, of_box(0.5)),
    "point": DensityKernel(point_cumulative, fixed_px(1.0)),
    "box": DensityKernel(box_cumulative, of_box(1.0)),
    "fidt": HeatKernel(fidt_fall, one_px, FIDT_CUT_PX),
    "centre": HeatKernel(gaussian_fall, centre_unit_px, CENTRE_CUT),
}
DENSITY_KINDS = tuple(name for name, kernel in MENU.items() if isinstance(kernel, DensityKernel))
