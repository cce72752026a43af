"""Linking of whole videos: detections of every frame in, tracks out, as a stream or as a table.

A track gets its id only when it is confirmed. Both functions hold a frame back until every track
that it shows has been confirmed or has died, so that tracks are reported from their first box on,
then until nobody who is missed there can come back in time for the gap to be filled, then until
the boxes around it are known that smooth it.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.errors import InputError
from reid.gaps import GapFiller
from reid.linker import MENU, Linker, LinkerSettings, check_detections
from reid.offline import OfflineSettings, join_tracks
from reid.recipe import load_settings
from reid.sight import BLIND, Sight
from reid.smoothing import Smoother
from reid.stages import Chain, Numbered, run

Held = tuple[int, Boxes, npt.NDArray[np.intp]]

_log = logging.getLogger(__name__)


class LinkStream:
    """The linker and the stages behind it, for one video; all that it knows can be stored.

    Args:
        settings: of the linker; without backfill, filled gaps and smoothing no frame is held back.
        fps: frames per second.
        detect_step: frames from one that is pushed to the next, where those between are skipped.
    """

    def __init__(self, settings: LinkerSettings, fps: float, *, detect_step: int = 1) -> None:
        raw = raw_settings(settings)
        if detect_step > 1:  # a track outlives the time from one look to the next
            raw = replace(raw, max_gap_s=max(raw.max_gap_s, (detect_step - 1) / fps))
        self._machine = Linker(raw, fps)
        self._backfill = settings.backfill
        self._delay = self._machine.confirm_frames if settings.backfill else 0
        self._last = Boxes.empty()  # what was reported of the last frame that was looked at
        self._held: deque[Held] = deque()
        longest = min(settings.fill_gap_s, settings.max_gap_s)
        between = detect_step if settings.backfill else 1
        self._gaps = GapFiller(_whole_frames(longest, fps), between)
        self._rest = Chain(self._gaps, Smoother(settings.smooth_s * fps))

    def push(self, number: int, detections: Boxes, sight: Sight = BLIND) -> list[Numbered]:
        """Link the next frame.

        Args:
            number: of the frame, 1-based, after those before; skipped ones are time that passes.
            detections: its detections, scores in 0..1.
            sight: what the frame shows beside them.

        Returns:
            (number, boxes of the confirmed tracks ordered by id) of the frames that are settled
            now: confirm_s, fill_gap_s and 3 · smooth_s late.

        Raises:
            InputError: as `Linker.update`.
        """
        self._held.append((number, *self._machine.advance(detections, sight, number)))
        settled: list[Numbered] = []
        while self._held and self._held[0][0] + self._delay <= number:
            settled += self._pass_on()
        return settled

    def skip(self, number: int) -> list[Numbered]:
        """Let a frame go by that nobody looks at: tracks go straight from one look to the next.

        Without backfill, which knows no later look, they are where the motion model expects them.

        Returns:
            As `push`.
        """
        if self._backfill:
            self._gaps.pass_on(number)
            self._held.append((number, Boxes.empty(), np.empty(0, np.intp)))
            return []
        last, ltwh = self._last, self._machine.expected(number)
        expected = Boxes.of(number, ltwh, id=last.id, score=last.score, category=last.cls)
        return self._rest.push(number, expected)

    def finish(self) -> list[Numbered]:
        """Return the frames that are left, when no more come."""
        settled: list[Numbered] = []
        while self._held:
            settled += self._pass_on()
        return settled + self._rest.finish()

    def _pass_on(self) -> list[Numbered]:
        """The oldest held frame goes on: all that it shows are confirmed or dead."""
        number, rows = self._held[0][0], _settled(self._held)
        self._held.popleft()
        self._last = rows
        return self._rest.push(number, rows)


def link_stream(
    frames: Iterable[Numbered],
    *,
    fps: float,
    settings: LinkerSettings,
    sight: Callable[[int, Boxes], Sight] | None = None,
) -> Iterator[Numbered]:
    """Link frames as they come; each is given out once its tracks are settled.

    Args:
        frames: (1-based number, detections of that frame) in ascending order, scores in 0..1.
        fps: frames per second.
        settings: of the linker.
        sight: what a frame of this number, with these detections, shows beside them; called once
            for each frame, in order; None = boxes decide alone.

    Yields:
        As `LinkStream.push` returns.

    Raises:
        InputError: as `Linker.update`.
    """
    stream = LinkStream(settings, fps)
    for number, detections in frames:
        seen = sight(number, detections) if sight else BLIND
        yield from stream.push(number, detections, seen)
    yield from stream.finish()


def _whole_frames(seconds: float, fps: float) -> int:
    return math.floor(seconds * fps + 1e-6)


def _settled(held: deque[Held]) -> Boxes:
    """Rows of the oldest held frame, with the ids that their tracks have got since."""
    _, boxes, serial = held[0]
    later = np.concatenate([serials for _, _, serials in held])
    names = np.concatenate([rows.id for _, rows, _ in held])
    later, names = later[names > 0], names[names > 0]
    order = np.argsort(later, kind="stable")
    later, names = later[order], names[order]
    place = np.searchsorted(later, serial)
    known = place < len(later)
    known[known] = later[place[known]] == serial[known]
    rows = np.flatnonzero(known)
    ids = names[place[rows]]
    order = np.argsort(ids, kind="stable")
    return boxes[rows[order]].with_columns(id=ids[order])


def linker_settings(name: str, *, online: bool = False) -> LinkerSettings:
    """Look a linker up on the menu, or read its settings from a file.

    Args:
        name: a key of `MENU`, or a YAML file such as python -m reid.tune leaves.
        online: report every frame at once, knowing nothing of later ones.

    Raises:
        InputError: no such linker, or a file that holds something else.
    """
    if name.endswith((".yaml", ".yml")):
        chosen = load_settings(name)
    elif name in MENU:
        chosen = MENU[name]
    else:
        expected = f"one of {', '.join(MENU)}, or a .yaml file"
        raise InputError("--linker", expected, name, "choose one of them")
    if not online:
        return chosen
    return replace(chosen, backfill=False, fill_gap_s=0.0, smooth_s=0.0)


def raw_settings(settings: LinkerSettings) -> LinkerSettings:
    """The same linker without its finish: gaps are not filled, boxes not smoothed yet.

    What is to be smoothed are the detections: the motion model's boxes lag behind.
    """
    output = "measured" if settings.smooth_s else settings.output
    return replace(settings, fill_gap_s=0.0, smooth_s=0.0, output=output)


def finish_offline(
    tracks: Boxes, *, length: int, fps: float, settings: LinkerSettings, offline: OfflineSettings
) -> Boxes:
    """Join, fill and smooth the tracks of a whole video.

    Args:
        tracks: as a linker of `raw_settings(settings)` gives them.
        length: number of frames.
        fps: frames per second.
        settings: of the linker, for its smooth_s.
        offline: how tracks are joined; all gaps up to its join_gap_s are filled.

    Returns:
        Boxes of the tracks ordered by frame, then id.
    """
    joined = join_tracks(tracks, fps=fps, settings=offline)
    longest = _whole_frames(max(offline.join_gap_s, settings.max_gap_s), fps)
    stages = Chain(GapFiller(longest), Smoother(settings.smooth_s * fps))
    return Boxes.concatenate([rows for _, rows in run(stages, joined.by_frame(length))])


def unit_scores(detections: Boxes) -> tuple[Boxes, int]:
    """Bring the scores of a whole sequence into 0..1 when any lies outside; count the changed rows.

    Detectors without a probability (MOT15's, DPM) score in units of their own. The lowest score
    becomes 0, the median and above become 1, linear between: the surer half counts as sure, and no
    outlier at the top pushes the rest down. Where the lowest is the median, all become 1.

    Returns:
        The detections and the number of rows whose score was mapped (0 = all were in 0..1).
    """
    score = detections.score.astype(np.float64)
    if not len(score) or (score.min() >= 0 and score.max() <= 1):
        return detections, 0
    low, middle = score.min(), np.median(score)
    mapped = np.minimum((score - low) / (middle - low), 1) if middle > low else np.ones_like(score)
    return detections.with_columns(score=mapped), len(score)


def with_unit_scores(detections: Boxes) -> Boxes:
    """Map the scores by `unit_scores`, with one line in the log where that changes them."""
    detections, mapped = unit_scores(detections)
    if mapped:
        _log.warning("scores outside 0..1: all %d mapped, lowest to 0, median to 1", mapped)
    return detections


def link(
    detections: Boxes,
    *,
    length: int,
    fps: float,
    linker: str = "byte",
    settings: LinkerSettings | None = None,
    offline: OfflineSettings | None = None,
) -> Boxes:
    """Link the detections of a whole sequence.

    Scores outside 0..1 are mapped by `unit_scores`, with one line in the log.

    Args:
        detections: rows of frames 1..length in any order; ids are ignored.
        length: number of frames.
        fps: frames per second.
        linker: a key of `MENU`.
        settings: used instead of the menu's.
        offline: join tracks across longer gaps, knowing the whole sequence; None = do not.

    Returns:
        Boxes of the confirmed tracks ordered by frame, then id.

    Raises:
        InputError: an unknown linker, frames outside 1..length, and as `Linker.update`.
    """
    settings = settings or linker_settings(linker)
    frame = detections.frame
    strange = ~((frame >= 1) & (frame <= length) & (frame == np.floor(frame)))
    if strange.any():
        raise InputError(
            "detections",
            f"whole frame numbers in 1..{length}",
            f"{frame[strange][0]:g} ({int(strange.sum())} such rows)",
            "check the sequence's length and its detections",
        )
    check_detections(
        detections.with_columns(score=np.where(np.isfinite(detections.score), 0.5, np.nan))
    )
    detections = with_unit_scores(detections)
    passed = raw_settings(settings) if offline else settings
    stream = link_stream(detections.by_frame(length), fps=fps, settings=passed)
    tracks = Boxes.concatenate([rows for _, rows in stream])
    if offline is None:
        return tracks
    return finish_offline(tracks, length=length, fps=fps, settings=settings, offline=offline)
