"""Label maps against a Gaussian filter per person: `python -m benchmarks.labelmaps`.

Prints times and their ratio from one run, at 1080 × 1920, stride 1, 50 people; then what the other
kinds, the targets and the way back cost at a training size.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from labelmaps.kernels import GAUSSIAN_CUT, GAUSSIAN_SIGMA_PX, MENU
from labelmaps.peaks import find_peaks
from labelmaps.render import render
from labelmaps.targets import box_targets

BAR = 1000
FULL_HD, NET_SIZE = (1080, 1920), (544, 960)
PEOPLE = 50


def reference(boxes: npt.NDArray[np.float64], size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """One impulse per person, filtered over the full map, normalised to one person, added up."""
    total = np.zeros(size_hw)
    for left, top, width, height in boxes:
        one = np.zeros(size_hw)
        one[int(top + height / 2), int(left + width / 2)] = 1.0
        one = gaussian_filter(one, GAUSSIAN_SIGMA_PX, mode="constant", truncate=GAUSSIAN_CUT)
        total += one / one.sum()
    return total


def crowd(count: int, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Random boxes (N, 4) whose centre lies inside, people-shaped; their heights are 5 to 30 %."""
    rng = np.random.default_rng(0)
    heights = rng.uniform(0.05, 0.3, count) * size_hw[0]
    sizes = np.stack([0.4 * heights, heights], axis=1)
    # Centres on pixel centres, where an impulse can stand for them.
    centres = np.floor(rng.uniform(0, size_hw[::-1], (count, 2))) + 0.5
    return np.concatenate([centres - sizes / 2, sizes], axis=1)


def median_s(job: Callable[[], object], repeats: int) -> float:
    def once() -> float:
        start = time.perf_counter()
        job()
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(repeats))


def main() -> None:
    boxes = crowd(PEOPLE, FULL_HD)
    start = time.perf_counter()
    expected = reference(boxes, FULL_HD)
    slow = time.perf_counter() - start
    fast = median_s(lambda: render(boxes, FULL_HD, stride=1), 21)
    ours = render(boxes, FULL_HD, stride=1)
    print(f"{PEOPLE} people, {FULL_HD[0]} x {FULL_HD[1]}, stride 1, kind gaussian")
    print(f"  gaussian_filter per person  {slow * 1e3:9.1f} ms   sum {expected.sum():.4f}")
    print(f"  labelmaps.render            {fast * 1e3:9.2f} ms   sum {ours.sum(dtype=float):.4f}")
    difference = np.abs(ours - expected).max() / expected.max()
    print(f"  largest difference          {difference:9.1%} of the peak (integral, not sample)")
    print(f"  ratio                       {slow / fast:9.0f} x   bar {BAR} x")

    boxes = crowd(PEOPLE, NET_SIZE)
    print(f"{PEOPLE} people, {NET_SIZE[0]} x {NET_SIZE[1]}, stride 4")
    for kind in MENU:
        took = median_s(lambda kind=kind: render(boxes, NET_SIZE, kind=kind), 21)  # type: ignore
        print(f"  render {kind:<12} {took * 1e3:9.2f} ms")
    print(
        f"  box_targets         {median_s(lambda: box_targets(boxes, NET_SIZE), 21) * 1e3:9.2f} ms"
    )
    heat, distances = render(boxes, NET_SIZE, kind="centre"), box_targets(boxes, NET_SIZE).distances
    took = median_s(lambda: find_peaks(heat, distances), 21)
    print(
        f"  find_peaks          {took * 1e3:9.2f} ms   {len(find_peaks(heat, distances)[0])} found"
    )


if __name__ == "__main__":
    main()
