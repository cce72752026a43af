"""How well an embedder finds people again: `python -m reid.eval --data market --weights FILE`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from mot.command_line import parse_flags
from mot.errors import one_line_errors, require_setting
from mot.images import Image
from mot.progress import progress_bar
from mot.terminal import terminal
from nets.training import choose_device
from reid.crops import CropSet, describe, query_and_gallery
from reid.embedder import embed, load_embedder
from reid.rerank import rerank
from reid.retrieval import (
    RetrievalScores,
    cosine_distance,
    mean_scores,
    pool_queries,
    score_queries,
)
from reid.worst import draw_worst, write_worst

MOST_ROWS = 200  # of the picture: 40,000 pixels high


@dataclass(frozen=True)
class ReidEvalFlags:
    """Score an embedder's retrieval as Market-1501 does it."""

    data: str
    """Crops: a folder named as in Market-1501, flat or with query and bounding_box_test, or an
    HDF5 file of python -m reid.extract."""
    weights: str | None = None
    """Weights of an embedder, as python -m reid.train writes them; none = those that come with
    Footfall."""
    multi_query: bool = False
    """Average the queries of one person and camera."""
    rerank: bool = False
    """Re-rank by k-reciprocal neighbours (arXiv:1701.08398)."""
    worst: str | None = None
    """PNG file to draw: the queries with the lowest average precision, and what was found."""
    worst_count: int = 10
    """Queries in that picture."""
    json: bool = False
    """Print the scores as JSON, fractions of 1."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""

    def __post_init__(self) -> None:
        png = self.worst is None or Path(self.worst).suffix.lower() == ".png"
        require_setting(self, "worst", png, "a file name that ends in .png")
        require_setting(
            self, "worst_count", 1 <= self.worst_count <= MOST_ROWS, f"1 to {MOST_ROWS}"
        )


def evaluate(flags: ReidEvalFlags) -> RetrievalScores:
    """Embed queries and gallery, score the rankings, and draw the worst where asked for.

    Raises:
        InputError: crops or weights that cannot be used.
    """
    net = load_embedder(flags.weights)
    query, gallery = query_and_gallery(flags.data)
    if not flags.json:
        print(f"queries: {describe(query)}\ngallery: {describe(gallery)}")
    device = str(choose_device(flags.device))
    sides = [
        embed(net, _images(side, net.settings.size, title), device=device)
        for side, title in ((query, "queries"), (gallery, "gallery"))
    ]
    wanted = sides[0]
    if flags.multi_query:
        pooled, first = pool_queries(wanted, query.identity, query.camera)
        wanted, query = pooled.astype(np.float32), query[first]
    distance = cosine_distance(wanted, sides[1])
    if flags.rerank:
        within = cosine_distance(wanted, wanted), cosine_distance(sides[1], sides[1])
        distance = rerank(distance, *within)
    labels = query.identity, gallery.identity, query.camera, gallery.camera
    each = score_queries(distance, *labels)
    scores = mean_scores(each)
    if flags.worst:
        picture = draw_worst(query, gallery, distance, each[1], count=flags.worst_count)
        write_worst(Path(flags.worst), picture)
    return scores


def _images(crops: CropSet, size_hw: tuple[int, int], title: str) -> Iterator[Image]:
    with progress_bar(len(crops), unit="crop", title=title) as bar:
        for image in crops.images:
            yield image.read(size_hw)
            bar.update()


def print_scores(scores: RetrievalScores) -> None:
    """Print a table in percent."""
    table = Table()
    values = asdict(scores)
    queries = values.pop("queries")
    for name in values:
        table.add_column(name, justify="right")
    table.add_column("queries", justify="right")
    table.add_row(*(f"{100 * value:.1f}" for value in values.values()), str(queries))
    terminal().print(table)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(ReidEvalFlags, arguments)
    scores = evaluate(flags)
    if flags.json:
        print(json.dumps(asdict(scores)))
    else:
        print_scores(scores)


if __name__ == "__main__":
    main()
