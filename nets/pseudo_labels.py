"""Label frames with teachers: `python -m nets.pseudo_labels --teachers A.xml B.xml --inputs …`.

Video that nobody has labelled becomes a sequence to train on: people on whom two detectors agree,
and ignored regions where one of them doubts. Sequences and photos that have a truth keep it;
people whom only the teachers see become ignored regions, so that a net is not punished for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mot.annotations import truth_rows
from mot.atomic import atomic_path
from mot.boxes import Boxes, iou_matrix
from mot.command_line import parse_flags
from mot.errors import one_line_errors, require_setting
from mot.frames import stream_frames
from mot.images import Image, resize
from mot.progress import progress_bar
from mot.seqinfo import SEQINFO, seqinfo_text
from mot.sequence import IMAGE_FOLDER, data_root, find_sequence, open_video
from mot.sequence import Sequence as Video
from mot.stills import BOXES_FILE, CROWD, MASK_ENDING, Stills, boxes_text, open_stills, read_still
from mot.videofile import VIDEO_SUFFIXES
from nets.teachers import Teacher, Verdict, judge_frame, load_teacher

KNOWN_IOU = 0.3  # above it a teacher's box belongs to somebody in the truth
JPEG_QUALITY = 95

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PseudoLabelFlags:
    """Label frames of videos, sequences and photos with detectors as teachers."""

    teachers: tuple[Path, ...]
    """Two or more detectors: the Open Model Zoo's person-detection-* and NanoDet (OpenVINO .xml),
    and nets of one's own (.safetensors) that see one frame at a time."""
    inputs: tuple[str, ...]
    """Video files, sequences by name, and folders of photos with boxes.csv, below --data or not."""
    out: Path
    """Folder to write sequence and photo folders to."""
    data: Path | None = None
    """Folder that holds the sequences at some depth; none = $FOOTFALL_DATA, else data/."""
    every_s: float = 0.5
    """Seconds between the frames that are labelled."""
    most_px: int = 1280 * 720
    """Largest number of pixels per frame; larger ones are shrunk."""

    def __post_init__(self) -> None:
        require_setting(self, "teachers", len(self.teachers) >= 2, "two detectors or more")
        require_setting(self, "inputs", len(self.inputs) >= 1, "a video, sequence or photo folder")
        require_setting(self, "every_s", self.every_s > 0, "seconds above 0")
        require_setting(self, "most_px", self.most_px >= 32 * 32, f"at least {32 * 32}")


def labels_of(verdict: Verdict, known: Boxes | None) -> Boxes:
    """Rows of one frame: people without ids, ignored regions as crowds.

    Args:
        verdict: of the teachers.
        known: the frame's truth, None where nobody has labelled it.
    """
    if known is None:
        return Boxes.concatenate(
            [
                Boxes.of(1, verdict.people, visibility=1.0),
                Boxes.of(1, verdict.doubtful, category=CROWD),
            ]
        )
    overlap = iou_matrix(verdict.people, known.ltwh).max(axis=1, initial=0.0)
    return Boxes.concatenate(
        [known, Boxes.of(1, verdict.people[overlap < KNOWN_IOU], category=CROWD)]
    )


def label_video(
    video: Video, teachers: Sequence[Teacher], out: Path, *, every_s: float, most_px: int
) -> Boxes:
    """Write out/NAME, a sequence of the labelled frames alone, and return its truth.

    Raises:
        InputError: frames that cannot be read, or no frame rate.
    """
    step = max(1, round(every_s * video.require_fps()))
    factor = min(1.0, (most_px / (video.width * video.height)) ** 0.5)
    size_hw = round(video.height * factor), round(video.width * factor)
    truth = video.truth() if video.has_truth else None
    rows: list[Boxes] = []
    with atomic_path(out / video.name) as folder:
        (folder / IMAGE_FOLDER).mkdir(parents=True)
        (folder / "gt").mkdir()
        frames = stream_frames(video, step=step)
        for index, (frame, image) in enumerate(_watched(frames, video, step), 1):
            verdict = judge_frame([teacher.detect(image) for teacher in teachers])
            labels = labels_of(verdict, None if truth is None else truth.at(frame))
            rows.append(labels.with_columns(frame=index))
            _write_image(folder / IMAGE_FOLDER / f"{index:06d}.jpg", resize(image, size_hw))
        table = Boxes.concatenate(rows).scaled(size_hw[1] / video.width, size_hw[0] / video.height)
        # Nobody is followed over frames: without a truth each row is a person of its own.
        nameless = table.id < 0
        first = int(table.id.max(initial=0)) + 1
        names = np.where(nameless, first + np.cumsum(nameless), table.id)
        table = table.with_columns(id=names)
        (folder / "gt" / "gt.txt").write_text(truth_rows(table), encoding="ascii")
        info = seqinfo_text(
            video.name, len(rows), size_hw[1], size_hw[0], video.require_fps() / step
        )
        (folder / SEQINFO).write_text(info, encoding="utf-8")
    return table


def label_stills(stills: Stills, teachers: Sequence[Teacher], target: Path) -> Boxes:
    """Write a folder of the same photos with a boxes.csv that has ignored regions as well.

    Raises:
        InputError: photos that cannot be read.
    """
    rows: list[Boxes] = []
    with (
        atomic_path(target) as folder,
        progress_bar(len(stills), unit="photo", title=stills.name) as bar,
    ):
        folder.mkdir(parents=True)
        for index, path in enumerate(stills.paths, 1):
            verdict = judge_frame([t.detect(read_still(stills, index)) for t in teachers])
            labels = labels_of(verdict, stills.boxes.at(index))
            rows.append(labels.with_columns(frame=index))
            for file in (path, path.with_name(f"{path.stem}{MASK_ENDING}.png")):
                if file.is_file():
                    shutil.copy(file, folder)
            bar.update()
        table = Boxes.concatenate(rows)
        names = [path.name for path in stills.paths]
        (folder / BOXES_FILE).write_text(boxes_text(table, names), encoding="utf-8")
    return table


def _watched(
    frames: Iterable[tuple[int, Image]], video: Video, step: int
) -> Iterator[tuple[int, Image]]:
    with progress_bar(-(-video.length // step), unit="frame", title=video.name) as bar:
        for item in frames:
            yield item
            bar.update()


def _write_image(path: Path, image: Image) -> None:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(data.tobytes())  # a full disk is an error; cv2.imwrite would keep it to itself


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    flags = parse_flags(PseudoLabelFlags, arguments, description=__doc__)
    root = flags.data or data_root()
    teachers = [load_teacher(path) for path in flags.teachers]
    for name in flags.inputs:
        found = _open(name, root)
        target = flags.out / found.name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if isinstance(found, Stills) and inside:
            target = flags.out / name  # below the data as they were, so that recipes find them
        if target.exists():
            print(f"{found.name}: is there already")
            continue
        if isinstance(found, Stills):
            table = label_stills(found, teachers, target)
        else:
            table = label_video(
                found, teachers, flags.out, every_s=flags.every_s, most_px=flags.most_px
            )
        ignored = int((table.cls == CROWD).sum())
        print(f"{found.name}: {len(table) - ignored} boxes, {ignored} ignored regions")


def _open(name: str, root: Path) -> Video | Stills:
    path = Path(name)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return open_video(path)
    for folder in (root / name, path):
        if (folder / BOXES_FILE).is_file():
            return open_stills(folder)
    return find_sequence(name, root)


if __name__ == "__main__":
    main()
