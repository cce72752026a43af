"""What a scored run gets wrong and why: counts by cause, a list of all errors, the worst frames.

    python -m mot.error_analysis RUN
    python -m mot.error_analysis RUN --before RUN2 --out FOLDER

RUN is a folder of eval.py. Written are errors.csv (every error), errors.md (the tables) and
errors-<sequence>.jpg (the worst frames). docs/scoring.md says what the causes mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from mot.analysis.breakdown import Breakdown, SceneErrors, break_down
from mot.analysis.rows import write_errors
from mot.analysis.run_folder import SCORES, Scores, load_scene, open_scored, read_scores
from mot.analysis.sheet import write_sheet
from mot.analysis.tables import markdown_of, print_tables
from mot.atomic import require_new, write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.progress import progress_bar
from mot.sequence import Sequence
from mot.terminal import terminal

MOST = 200  # frames on a sheet, so that it fits into a JPEG


@dataclass(frozen=True, kw_only=True)
class ErrorFlags:
    """Explain the errors of a scored run."""

    run: tyro.conf.Positional[Path]
    """Folder of the run (eval.py --out)."""
    data: Path | None = None
    """Folder that holds sequence folders at some depth; none = where the run has found them, else
    $FOOTFALL_DATA, else data/."""
    out: Path | None = None
    """Folder to write into; none = that of the run."""
    before: Path | None = None
    """Another run of the same sequences, whose counts stand beside as those before."""
    worst: int = 40
    """So many frames on a sheet at most."""
    pictures: bool = True
    """Draw the sheets, which need the frames."""

    def __post_init__(self) -> None:
        require_setting(self, "worst", 1 <= self.worst <= MOST, f"1 to {MOST}")


@dataclass(frozen=True)
class Analysis:
    """What is known of the errors of a run.

    Attributes:
        scenes: the errors of each sequence.
        before: those of the earlier run, in the same order; None = there is none.
    """

    scenes: list[SceneErrors]
    before: list[SceneErrors] | None

    def tables(self, place: int | None = None) -> tuple[list[Breakdown], list[Breakdown] | None]:
        """Tables of the sequence at a place, None = of all together; and those before."""
        part = slice(None) if place is None else slice(place, place + 1)
        before = None if self.before is None else break_down(self.before[part])
        return break_down(self.scenes[part]), before


def explain(
    run: Path, sequences: list[Sequence], scores: Scores, *, title: str
) -> list[SceneErrors]:
    """Explain the errors of a run.

    Args:
        run: the folder.
        sequences: of it, opened.
        scores: of the run.
        title: of the progress bar.

    Raises:
        InputError: as `mot.analysis.run_folder.load_scene`.
    """
    scenes = []
    with progress_bar(len(sequences), unit="sequence", title=title) as bar:
        for sequence in sequences:
            scenes.append(SceneErrors.of(load_scene(run, sequence, scores[sequence.name])))
            bar.update()
    return scenes


def analyse(flags: ErrorFlags) -> Analysis:
    """Read, explain, print and write all that the flags ask for.

    Raises:
        InputError: no scores, sequences that are not in the data, results that do not fit the
            scores or are of other sequences than those before, a file that is in the way.
    """
    scores = read_scores(flags.run)
    before = None if flags.before is None else read_scores(flags.before)
    if flags.before is not None and before is not None and (lacks := scores.keys() - before):
        where, got = flags.before / SCORES, f"none of {', '.join(sorted(lacks))}"
        raise InputError(where, f"the sequences of {flags.run}", got, "score them with eval.py")
    out = flags.out or flags.run
    sheets = {name: out / f"errors-{name}.jpg" for name in scores} if flags.pictures else {}
    table_at, rows_at = out / "errors.md", out / "errors.csv"
    require_new([table_at, rows_at, *sheets.values()], "use another --out, or remove it")
    sequences = [open_scored(flags.run, name, flags.data) for name in scores]
    scenes = explain(flags.run, sequences, scores, title="errors")
    earlier = None
    if flags.before is not None and before is not None:
        earlier = explain(flags.before, sequences, before, title="errors before")
    analysis = Analysis(scenes, earlier)
    print_tables(terminal(), *analysis.tables())
    for errors in scenes:
        if len(errors.people.visibility) and (errors.people.visibility < 0).all():
            print(f"{errors.scene.name}: its truth has no visibility, so nobody counts as hidden")
    write_errors(rows_at, scenes)
    write_text(table_at, report(analysis, flags))
    print(rows_at, table_at, sep="\n")
    for sequence, errors in zip(sequences, scenes, strict=True):
        if flags.pictures:
            draw(sheets[sequence.name], sequence, errors, flags.worst)
    return analysis


def report(analysis: Analysis, flags: ErrorFlags) -> str:
    """The tables as a page of Markdown: of all sequences, and of several also of each."""
    names = [errors.scene.name for errors in analysis.scenes]
    title = f"# Errors of {flags.run.resolve().name}"
    if flags.before is not None:
        title += f", before: {flags.before.resolve().name}"
    parts = [title, f"## {', '.join(names)}", markdown_of(*analysis.tables())]
    if len(names) > 1:
        for place, name in enumerate(names):
            parts += [f"## {name}", markdown_of(*analysis.tables(place))]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def draw(path: Path, sequence: Sequence, errors: SceneErrors, most: int) -> None:
    """Draw a sheet; where frames are missing, say so instead."""
    if not sequence.has_frames:
        print(f"{sequence.name}: no picture, for the frames are not there")
        return
    try:
        shown = write_sheet(path, sequence, errors.scene, most)
    except InputError as error:
        print(f"{sequence.name}: no picture, for {error}")
        return
    print(path if shown else f"{sequence.name}: no picture, for there are no errors")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    analyse(parse_flags(ErrorFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
