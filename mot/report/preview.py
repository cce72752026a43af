"""A preview of a run: small pictures and density maps of evenly spread frames, for the report.

While the run goes on they are kept as JPEGs in one growing file; where they become too many, every
other one is let go. At the end they become one short H.264 film, in which a page can jump about.
"""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.cuts import Crossings
from mot.growing import GrowingFile
from mot.images import Image
from mot.progress import progress_bar
from mot.report.slices import Slices, SliceStack
from mot.shapes import expect
from mot.video import VideoWriter

MOST_FRAMES = 1500  # of a page
MOST_BYTES = 10_000_000  # of a page's films; base64 makes a third more of them
LONGEST_PX = 640  # the longer side of a picture
JPEG_QUALITY = 85
FILM_FPS = 25.0  # of the film; at what pace it is shown is the page's matter
FILM_CRF = 26
ENOUGH_BPS = 40_000_000  # no film of this size needs more, and the encoder's counters end
KEY_EVERY = 12  # frames; a jump decodes so many at most
LONGEST_CELLS = 96  # the longer side of a density map
LEVELS = 255
LEAST_SHARE_BYTES = 100_000

FloatMap = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Budget:
    """What the preview of one sequence may come to: pictures, and bytes of its film."""

    frames: int = MOST_FRAMES
    size: int = MOST_BYTES

    def share(self, length: int, total: int) -> Budget:
        """The part for a sequence of `length` frames, of `total` on the page."""
        part = length / max(total, 1)
        size = max(LEAST_SHARE_BYTES, int(self.size * part))
        return Budget(max(1, int(self.frames * part)), min(self.size, size))


@dataclass(frozen=True)
class DensityMaps:
    """Density maps of a preview, small and in eight bits.

    Attributes:
        shape: cells (h, w) of each.
        reach: how far they cover the frame, (down, right); 1 = to its edge.
        peaks: people per cell at the greatest value of each map, one per picture.
        levels: zlib stream of uint8 (n, h, w); people per cell = peak (level / 255)².
    """

    shape: tuple[int, int]
    reach: tuple[float, float]
    peaks: list[float]
    levels: bytes


@dataclass(frozen=True)
class Preview:
    """Pictures of a run.

    Attributes:
        frames: 1-based numbers, one per picture, ascending.
        film: mp4 of the pictures, `FILM_FPS` a second; b"" without a picture.
        density: a map per picture, where the net has density.
        slices: a row and a column of all pictures and maps over time.
    """

    frames: list[int]
    film: bytes
    density: DensityMaps | None = None
    slices: Slices | None = None


@dataclass(frozen=True)
class _Record:
    """A picture's place in the growing file: JPEG, then the map's levels."""

    frame: int
    start: int
    jpeg: int
    levels: int
    peak: float


def save_preview(path: Path, preview: Preview) -> None:
    """Keep a preview until its report is written; a pickle, for the same version of Footfall."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(pickle.dumps(preview, protocol=pickle.HIGHEST_PROTOCOL))


def load_preview(path: Path) -> Preview | None:
    """The preview that was kept; None where there is none, or no whole one."""
    try:
        kept = pickle.loads(path.read_bytes())
    except Exception:  # a pickle can fail in any way, and pictures can be made again
        return None
    return kept if isinstance(kept, Preview) else None


class PreviewRecorder:
    """Keeps small pictures of a run as it goes; a context manager.

    Memory does not grow with the run. The file is bounded by the number of pictures, plus half
    of that whenever the length turned out twice as long.

    Args:
        path: the growing file; it is removed at the end.
        size_hw: height and width of the original frames, whose shape the pictures have.
        count: frames that are to come; None = nobody knows.
        budget: limits.
        resumable: a run that fails leaves the file to go on from, if its state was asked for.
        state: as `state()` gave it; where the file does not fit to it, the preview starts anew.

    Attributes:
        size_hw: height and width of the pictures.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        size_hw: tuple[int, int],
        *,
        count: int | None,
        budget: Budget | None = None,
        resumable: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self._resumable = path, resumable
        self._budget = budget or Budget()
        shrink = min(1.0, LONGEST_PX / max(size_hw))
        self.size_hw = max(2, round(shrink * size_hw[0])), max(2, round(shrink * size_hw[1]))
        self._every = max(1, -(-count // self._budget.frames)) if count else 1
        self._seen = 0
        self._wanted = state is not None
        self._records: list[_Record] = []
        self._shape: tuple[int, int] | None = None
        self._reach = (1.0, 1.0)
        self._crossings = Crossings(size_hw)
        keep = 0
        if state and path.is_file() and path.stat().st_size >= state["size"]:
            keep, self._every, self._seen = state["size"], state["every"], state["seen"]
            self._shape, self._reach = state["shape"], state["reach"]
            self._records = list(state["records"])
            self._crossings = state["crossings"].copy()
        self._file = GrowingFile(path, keep=keep)

    def add(
        self,
        frame: int,
        image: Image,
        density: FloatMap | None = None,
        tracks: Boxes | None = None,
    ) -> None:
        """Take the next frame, of which most are passed over in a long video.

        Args:
            frame: 1-based number.
            image: uint8 RGB (H, W, 3) of any size.
            density: people per cell (h, w); None without density.
            tracks: who is in it: slices are cut where most of all boxes are.
        """
        if tracks is not None:
            self._crossings.add(tracks)
        place, self._seen = self._seen, self._seen + 1
        if place % self._every:
            return
        if len(self._records) >= self._budget.frames:
            self._records = self._records[::2]
            self._every *= 2
            if place % self._every:
                return
        jpeg = _to_jpeg(_fit(image, self.size_hw))
        levels, peak = b"", 0.0
        if density is not None:
            coarse, self._reach = coarsen(density)
            self._shape = coarse.shape[0], coarse.shape[1]
            packed, peak = to_levels(coarse)
            levels = zlib.compress(packed.tobytes())
        self._records.append(_Record(frame, self._file.size, len(jpeg), len(levels), peak))
        self._file.write(jpeg + levels)

    def state(self) -> dict[str, Any]:
        """All that is known between two frames."""
        self._wanted = True
        return {
            "size": self._file.size,
            "every": self._every,
            "seen": self._seen,
            "records": tuple(self._records),
            "shape": self._shape,
            "reach": self._reach,
            "crossings": self._crossings.copy(),
        }

    def finish(self, *, title: str | None = None, shown: bool = True) -> Preview:
        """Make the film.

        Args:
            title: before the progress bar.
            shown: whether there is one.
        """
        frames = [record.frame for record in self._records]
        if not frames:
            return Preview([], b"")
        maps = self._maps() if self._has_maps else ()
        slices = SliceStack(self.size_hw, len(frames), self._crossings, maps)
        with progress_bar(len(frames), unit="picture", title=title, shown=shown) as bar:
            pictures = self._pictures(bar, slices)
            film = encode(pictures, self.size_hw, len(frames), self._budget.size)
        return Preview(frames, film, self._density(), slices.finish())

    def _pictures(self, bar: Any, slices: SliceStack) -> Iterator[Image]:
        with open(self.path, "rb") as file:
            for record in self._records:
                file.seek(record.start)
                raw = np.frombuffer(file.read(record.jpeg), np.uint8)
                picture = np.asarray(cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB), np.uint8)
                slices.add(picture)
                yield picture
                bar.update()

    @property
    def _has_maps(self) -> bool:
        return self._shape is not None and all(record.levels for record in self._records)

    def _levels(self) -> Iterator[tuple[float, bytes]]:
        """Peak and levels of each picture's map."""
        with open(self.path, "rb") as file:
            for record in self._records:
                file.seek(record.start + record.jpeg)
                yield record.peak, zlib.decompress(file.read(record.levels))

    def _maps(self) -> Iterator[FloatMap]:
        """Each picture's map, in people per cell."""
        for peak, levels in self._levels():
            share = np.frombuffer(levels, np.uint8).reshape(self._shape or (0, 0)) / LEVELS
            yield (peak * share**2).astype(np.float32)

    def _density(self) -> DensityMaps | None:
        if self._shape is None or not self._has_maps:
            return None
        packer, parts = zlib.compressobj(9), []
        for _, levels in self._levels():
            parts.append(packer.compress(levels))
        peaks = [float(f"{record.peak:.4g}") for record in self._records]
        return DensityMaps(self._shape, self._reach, peaks, b"".join([*parts, packer.flush()]))

    def close(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> PreviewRecorder:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._resumable and self._wanted:
            self._file.close()
        else:
            self.close()


def encode(pictures: Iterable[Image], size_hw: tuple[int, int], count: int, size: int) -> bytes:
    """A film of so many pictures in about so many bytes at most."""
    with tempfile.TemporaryDirectory(prefix="film-") as folder:
        path = Path(folder) / "film.mp4"
        most_bps = min(ENOUGH_BPS, int(8 * size * FILM_FPS / count))
        writer = VideoWriter(
            path, FILM_FPS, size_hw, crf=FILM_CRF, seekable=KEY_EVERY, most_bps=most_bps
        )
        with writer as film:
            for picture in pictures:
                film.write(picture)
        return path.read_bytes()


def coarsen(density: FloatMap) -> tuple[FloatMap, tuple[float, float]]:
    """Add up neighbouring cells until the map is small; the sum stays.

    Args:
        density: people per cell (h, w).

    Returns:
        The smaller map, and how far it covers the frame, (down, right): just over 1 where the
        last cells reach beyond it.
    """
    expect(density, "h w", "density")
    height, width = density.shape
    factor = -(-max(height, width) // LONGEST_CELLS)
    rows, columns = -(-height // factor), -(-width // factor)
    full = np.zeros((rows * factor, columns * factor), np.float32)
    full[:height, :width] = density
    coarse = full.reshape(rows, factor, columns, factor).sum(axis=(1, 3))
    return coarse, (rows * factor / height, columns * factor / width)


def to_levels(density: FloatMap) -> tuple[npt.NDArray[np.uint8], float]:
    """A map in eight bits: the root of its share of its own peak, and that peak.

    The root keeps faint places apart, which are most of a map.
    """
    peak = float(density.max(initial=0.0))
    share = np.clip(density / peak, 0, 1) if peak > 0 else np.zeros_like(density)
    return np.rint(LEVELS * np.sqrt(share)).astype(np.uint8), max(peak, 0.0)


def _fit(image: Image, size_hw: tuple[int, int]) -> Image:
    """Resize fast: area means only where a picture shrinks to less than half."""
    height, width = size_hw
    if image.shape[:2] == size_hw:
        return image
    method = cv2.INTER_AREA if 2 * width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _to_jpeg(image: Image) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()
