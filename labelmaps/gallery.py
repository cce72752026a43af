"""A picture of every kind of label map on one small scene: `python -m labelmaps.gallery OUT.png`.

For the documentation, and for seeing a new kernel before training with it.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

from labelmaps.kernels import DENSITY_KINDS, MENU
from labelmaps.render import render
from mot.atomic import atomic_path
from mot.errors import InputError, one_line_errors

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (a backend without display comes first)
from matplotlib.patches import Rectangle  # noqa: E402

SIZE_HW = (240, 400)
COLUMNS = 4
# Someone near, someone half behind, someone far, a pair that overlaps, and one leaving the frame.
PEOPLE = np.array(
    [
        [40, 40, 70, 180],
        [92, 60, 50, 130],
        [190, 40, 18, 46],
        [240, 70, 44, 110],
        [262, 78, 44, 110],
        [368, 90, 52, 130],
    ],
    np.float32,
)


def draw_gallery(path: Path, stride: int = 4) -> None:
    """Draw one panel per kind, boxes outlined, and write the picture.

    Args:
        path: image file to write; its suffix decides the format.
        stride: pixels per cell.
    """
    rows = -(-len(MENU) // COLUMNS)
    size = 2.75 * COLUMNS, 1.95 * rows
    figure, panels = plt.subplots(rows, COLUMNS, figsize=size, layout="constrained", squeeze=False)
    for panel in panels.flat[len(MENU) :]:
        panel.set_axis_off()
    for panel, kind in zip(panels.flat, MENU, strict=False):
        painted = render(PEOPLE, SIZE_HW, stride=stride, kind=kind)
        # Square roots, because peaks differ tenfold between near and far people.
        panel.imshow(np.sqrt(painted), cmap="magma", extent=(0, SIZE_HW[1], SIZE_HW[0], 0))
        for left, top, width, height in PEOPLE:
            panel.add_patch(Rectangle((left, top), width, height, fill=False, ec="w", lw=0.4))
        sums = f", sum {painted.sum():.3f}" if kind in DENSITY_KINDS else ", peaks 1"
        panel.set_title(kind + sums, fontsize=9)
        panel.set_axis_off()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80)
    plt.close(figure)


@one_line_errors
def main() -> None:
    """Write the picture to the path that the command line names."""
    if len(sys.argv) != 2 or Path(sys.argv[1]).suffix not in (".png", ".svg", ".pdf"):
        got = " ".join(sys.argv[1:]) or "nothing"
        raise InputError(
            "labelmaps.gallery", "one path ending in .png, .svg or .pdf", got, "name it"
        )
    draw_gallery(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
