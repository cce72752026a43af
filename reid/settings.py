"""What a user can set about linking: the settings of a linker, cross-checked, and the menu."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

from mot.errors import InputError
from reid.assign import SOLVERS
from reid.camera import METHODS
from reid.motion import Hold, Kalman, Motion

OUTPUTS = ("measured", "filtered")


@dataclass(frozen=True)
class LinkerSettings:
    """Settings of a linker; durations in seconds, noises in box sizes, scores and IoUs in 0..1.

    Raises:
        InputError: a value out of its range, or values that contradict each other.

    Attributes:
        motion: how a track is expected to move: a key of `MOTIONS`.
        solver: how partners are chosen: a key of `reid.assign.SOLVERS`.
        high_score: detections of at least this score take part in the first stage and may start
            tracks; higher = fewer, surer tracks.
        low_score: detections from here to `high_score` may only continue a track that was seen in
            the frame before (second stage, by IoU alone); higher = fewer boxes kept alive by weak
            detections; equal to `high_score` = no second stage.
        birth_score: an unmatched detection starts a track from this score on; higher = fewer
            tracks.
        min_iou: least overlap for a match in the first stage; higher = more broken tracks, fewer
            swaps.
        min_iou_low: least overlap in the second stage; higher = fewer boxes from weak detections.
        min_iou_tentative: least overlap to continue a track that is not confirmed yet; higher =
            fewer false tracks.
        weigh_score: whether overlaps beyond the least count times the detection's score, so that
            of two equal overlaps the surer detection wins. The least overlap itself does not
            depend on the score, so that a detector with lower scores loses no matches.
        max_gap_s: seconds for which a confirmed track is kept without a detection; longer = more
            people found again after occlusion, more wrong revivals.
        confirm_s: seconds of detections without a break, from its first one, after which a track is
            confirmed, gets its id and is reported; longer = fewer false tracks, later starts; 0 =
            at once. Tracks of the first frame are confirmed at once.
        backfill: whether `link` and `link_stream` also report the boxes of a confirmed track from
            before its confirmation; a live linker cannot.
        fill_gap_s: longest gap of a track that `link` and `link_stream` fill with boxes on the
            straight line between its two sides, in seconds, up to max_gap_s; longer = more hidden
            people are reported, more wrong boxes, and frames are held back for longer; a live
            linker cannot.
        smooth_s: standard deviation in time over which `link` and `link_stream` smooth a track's
            detections, in seconds; longer = steadier boxes that cut corners, and frames are held
            back for three times as long; 0 = none, boxes are as `output` says; a live linker
            cannot.
        momentum: weight of a pair's agreement with its track's direction, beside the overlap
            (OC-SORT); higher = fewer swaps of people who cross, more of those who turn.
        reupdate: whether a track that is found again is filtered as if it had been seen on the
            straight line meanwhile (OC-SORT).
        count_slack: people by which tracks may exceed the density's count, where there is one,
            before births are refused; higher = more tracks; inf = no veto.
        camera: how the camera's motion is taken out, where frames are at hand: a key of
            `reid.camera.METHODS`, or "none".
        reid_gap_s: seconds for which a missing person is recognised by looks, where an embedder is
            at hand; longer = more people found again, more wrong ones; 0 = never.
        reid_cosine: least likeness (cosine of two embeddings) for that; higher = fewer people
            found again, fewer wrong ones.
        reid_reach: how far a missing person may have gone, in heights per second; higher = more
            people are compared.
        look_every_s: seconds between two looks at a person who is followed; longer = cheaper, older
            pictures.
        duplicate_iou: of a seen and a lost track that overlap more than this, the one with the
            shorter life is removed; higher = fewer removals; 1 = none.
        output: box that is reported: "measured" = the detection, "filtered" = the motion model's
            estimate after it.
        measurement_noise: Kalman: standard deviation of a detected coordinate, in box sizes; higher
            = detections are trusted less, smoother tracks.
        position_noise: Kalman: random walk of the position, in box sizes per √s; higher =
            detections are trusted more.
        velocity_noise: Kalman: random walk of the velocity, in box sizes per s per √s; higher =
            turns are followed faster, velocities are less steady.
        start_speed: Kalman: standard deviation of a new track's speed, in box sizes per s; higher =
            the first detections set the speed more freely.
    """

    motion: str = "kalman"
    solver: str = "optimal"
    high_score: float = 0.5
    low_score: float = 0.1
    birth_score: float = 0.6
    min_iou: float = 0.3
    min_iou_low: float = 0.4
    min_iou_tentative: float = 0.3
    weigh_score: bool = True
    max_gap_s: float = 1.25
    confirm_s: float = 0.1
    backfill: bool = True
    fill_gap_s: float = 1.25
    smooth_s: float = 0.1
    momentum: float = 0.0
    reupdate: bool = False
    count_slack: float = math.inf
    camera: str = "flow"
    reid_gap_s: float = 4.0
    reid_cosine: float = 0.7
    reid_reach: float = 1.0
    look_every_s: float = 1.0
    duplicate_iou: float = 0.9
    output: str = "filtered"
    measurement_noise: float = 0.15
    position_noise: float = 0.3
    velocity_noise: float = 0.4
    start_speed: float = 3.0

    def __post_init__(self) -> None:
        for name, choices in (
            ("motion", MOTIONS),
            ("solver", SOLVERS),
            ("camera", ("none", *METHODS)),
            ("output", OUTPUTS),
        ):
            if getattr(self, name) not in choices:
                raise InputError(
                    name, f"one of {', '.join(choices)}", repr(getattr(self, name)), "choose one"
                )
        for field in fields(self):
            if field.type == "float":
                self._check_number(field.name)
        if not self.low_score <= self.high_score <= self.birth_score:
            raise InputError(
                "linker scores",
                "low_score ≤ high_score ≤ birth_score",
                f"{self.low_score}, {self.high_score}, {self.birth_score}",
                "lower the smaller or raise the larger",
            )

    def _check_number(self, name: str) -> None:
        """Check that a number is finite and in the range that its kind allows."""
        value = getattr(self, name)
        share = "score" in name or "iou" in name or name in ("momentum", "reid_cosine")
        ceiling = 1.0 if share else math.inf
        wanted = "a number in 0..1" if share else "a finite number ≥ 0"
        finite = isinstance(value, int | float) and math.isfinite(value)
        lawful = finite and 0 <= value <= ceiling
        if name == "count_slack" and value == math.inf:
            lawful = True
        if name == "measurement_noise":
            wanted, lawful = "a finite number > 0", lawful and value > 0
        if not lawful:
            raise InputError(name, wanted, value, "change the linker's setting")


def _kalman(settings: LinkerSettings) -> Motion:
    return Kalman(
        settings.measurement_noise,
        settings.position_noise,
        settings.velocity_noise,
        settings.start_speed,
    )


MOTIONS: dict[str, Callable[[LinkerSettings], Motion]] = {
    "kalman": _kalman,
    "none": lambda settings: Hold(),
}

MENU: dict[str, LinkerSettings] = {
    # Greedy overlap with the last box (Bochinski et al. 2017, "High-speed tracking-by-detection
    # without using image information").
    "iou": LinkerSettings(
        motion="none",
        solver="greedy",
        low_score=0.5,
        weigh_score=False,
        camera="none",
        reid_gap_s=0.0,
    ),
    # Kalman and Hungarian assignment by IoU (arXiv:1602.00763).
    "sort": LinkerSettings(low_score=0.5, weigh_score=False, camera="none", reid_gap_s=0.0),
    # Two stages by score (arXiv:2110.06864); where there are frames, the camera's motion is taken
    # out and people who were missing are recognised.
    "byte": LinkerSettings(),
    # Observation-centric momentum and re-update on top (arXiv:2203.14360).
    "oc": LinkerSettings(momentum=0.1, reupdate=True),
}
