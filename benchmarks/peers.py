"""What peers score on the same sequences: `python -m benchmarks.peers --truth DIR --peers FOLDER`.

A detector in OpenVINO with boxmot's ByteTrack, as in benchmarks.endtoend, followed through whole
sequences and scored as eval.py scores: one threshold for all sequences, as a user has it. The
table has a row for each peer and threshold; thresholds are not chosen, all that were tried stand.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.endtoend import Peer, find_peers
from benchmarks.unseen import PLACES
from mot.annotations import read_results
from mot.errors import one_line_errors
from mot.preprocessing import protocol_of
from mot.scoring import SequenceScores, score_sequence
from mot.sequence import Sequence, list_sequences, open_sequence
from mot.terminal import terminal

THRESHOLDS = (0.3, 0.45, 0.6)


def scores_of(peer: Peer, sequence: Sequence, out: Path) -> SequenceScores:
    """Follow a sequence, unless that was done before, and score it."""
    result = out / f"{sequence.name}.txt"
    done = out / f"{sequence.name}.done"
    if not done.is_file():
        peer.follow(sequence.folder, 0, out)
        done.touch()
    tracks = read_results(result, length=sequence.length)
    return score_sequence(
        sequence.truth(),
        tracks,
        length=sequence.length,
        name=sequence.name,
        protocol=protocol_of(sequence.name),
    )


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--truth", type=Path, required=True, help="folder of the sequences")
    parser.add_argument("--peers", type=Path, required=True, help="folder of the OpenVINO models")
    parser.add_argument("--places", nargs="+", default=PLACES, help="beginnings of their names")
    parser.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    args = parser.parse_args()
    console = terminal(150)
    found = [open_sequence(folder) for folder in list_sequences(args.truth)]
    named = [s for s in found if s.name.startswith(tuple(args.places)) and s.has_truth]
    table = Table(title="HOTA / MOTA / IDF1 / count MAE", title_justify="left")
    for heading in ("peer", "from score", *(s.name for s in named), "mean"):
        table.add_column(heading)
    for peer in find_peers(args.peers, console):
        for threshold in args.thresholds:
            own = replace(peer, track_thresh=threshold)
            folder = args.out / peer.model.stem / f"{threshold:g}"
            rows = [scores_of(own, sequence, folder) for sequence in named]
            values = [[s.HOTA, s.MOTA, s.IDF1, s.count_mae] for s in rows]
            cells = [" / ".join(f"{v:.1f}" for v in row) for row in [*values, np.mean(values, 0)]]
            table.add_row(peer.name, f"{threshold:g}", *cells)
    console.print(table)


if __name__ == "__main__":
    main()
