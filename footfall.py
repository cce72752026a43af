"""The `footfall` command: the commands by short names.

footfall track street.mp4 --out runs/street     is     python track.py street.mp4 --out runs/street
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version

from mot.errors import InputError, one_line_errors

COMMANDS = {
    "track": ("track", "follow people through videos"),
    "eval": ("eval", "score a net or detections on sequences with a truth"),
    "train": ("train", "train a net"),
    "download": ("mot.download", "get a MOTChallenge data set"),
    "check": ("mot.check", "list the defects of a data folder"),
    "convert": ("mot.convert", "convert annotations between formats"),
    "view": ("mot.view", "show result files beside the truth"),
    "slices": ("mot.slices", "stack a line of every frame over time"),
    "density-sheet": ("mot.density_sheet", "show density over frames of a video"),
    "statistics": ("mot.statistics", "measure the people of a data set"),
    "halves": ("mot.halves", "write halves of sequences as sequences of their own"),
    "errors": ("mot.error_analysis", "count a scored run's errors by their causes"),
    "pseudo-labels": ("nets.pseudo_labels", "label frames with detectors as teachers"),
    "sweep": ("nets.sweep", "train over a grid of settings"),
    "sweep-table": ("nets.sweep_table", "print and draw the table of a sweep"),
    "ensemble": ("nets.ensemble", "find out which nets err together"),
    "pretrain": ("nets.pretrain", "teach a trunk people from background"),
    "pose": ("nets.pose", "train a pose net on crops of people"),
    "eval-pose": ("nets.pose_eval", "measure a pose net"),
    "scene-keypoints": ("mot.scene_keypoints", "write the joints of a rendered scene"),
    "keypoint-table": ("mot.keypoint_table", "count how often keypoints are hidden"),
    "curves": ("nets.curves", "draw the curves of training runs"),
    "extract": ("reid.extract", "cut crops of people out of sequences"),
    "train-reid": ("reid.train", "train an embedder on crops"),
    "eval-reid": ("reid.eval", "score an embedder's retrieval"),
    "tune": ("reid.tune", "search a linker's settings"),
    "export": ("nets.export", "write a net as ONNX, OpenVINO or TorchScript"),
    "calibrate": ("nets.calibrate", "make a net's scores mean something"),
}


def usage() -> str:
    """What there is, one line a command."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    lines = ["usage: footfall COMMAND [FLAGS]", "", *rows, "", "footfall COMMAND --help explains."]
    return "\n".join(lines)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command that the first argument names with the rest of them."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return
    if given[0] == "--version":
        try:
            print(version("footfall"))
        except PackageNotFoundError:
            print("not installed: a checkout")
        return
    name, *flags = given
    if name not in COMMANDS:
        raise InputError("footfall", f"one of {', '.join(COMMANDS)}", name, "see footfall --help")
    importlib.import_module(COMMANDS[name][0]).main(flags)


if __name__ == "__main__":
    main()
