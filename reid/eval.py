"""How well an embedder finds people again: `python -m reid.eval --data market --weights FILE`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mot.command_line import parse_flags
from mot.errors import one_line_errors
from mot.images import Image
from mot.progress import progress_bar
from nets.training import choose_device
from reid.crops import CropSet, describe, query_and_gallery
from reid.embedder import embed, load_embedder
from reid.rerank import rerank
from reid.retrieval import RetrievalScores, cosine_distance, pool_queries, score_retrieval


@dataclass(frozen=True)
class ReidEvalFlags:
    """Score an embedder's retrieval as Market-1501 does it."""

    data: str
    """Crops: a folder named as in Market-1501, flat or with query and bounding_box_test, or an
    HDF5 file of python -m reid.extract."""
    weights: str
    """Weights of an embedder."""
    multi_query: bool = False
    """Average the queries of one person and camera."""
    rerank: bool = False
    """Re-rank by k-reciprocal neighbours (arXiv:1701.08398)."""
    json: bool = False
    """Print the scores as JSON, fractions of 1."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""


def evaluate(flags: ReidEvalFlags) -> RetrievalScores:
    """Embed queries and gallery and score the rankings.

    Raises:
        InputError: crops or weights that cannot be used.
    """
    query, gallery = query_and_gallery(flags.data)
    net = load_embedder(Path(flags.weights))
    device = str(choose_device(flags.device))
    sides = [
        embed(net, _images(side, net.settings.size, title), device=device)
        for side, title in ((query, "queries"), (gallery, "gallery"))
    ]
    wanted, identity, camera = sides[0], query.identity, query.camera
    if flags.multi_query:
        pooled, identity, camera = pool_queries(wanted, identity, camera)
        wanted = pooled.astype(np.float32)
    distance = cosine_distance(wanted, sides[1])
    if flags.rerank:
        within = cosine_distance(wanted, wanted), cosine_distance(sides[1], sides[1])
        distance = rerank(distance, *within)
    if not flags.json:
        print(f"queries: {describe(query)}\ngallery: {describe(gallery)}")
    return score_retrieval(distance, identity, gallery.identity, camera, gallery.camera)


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
    Console().print(table)


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
