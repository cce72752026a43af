"""How well embeddings find a person again: CMC rank-k, mAP and mINP over a ranked gallery.

The exclusions are Market-1501's (Zheng et al. 2015, "Scalable person re-identification: a
benchmark"): a query does not count crops of the same person from its own camera, nor junk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.shapes import expect
from reid.crops import JUNK

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
BLOCK_CELLS = 8_000_000  # cells of the distance matrix that are ranked at once: about 300 MB


@dataclass(frozen=True)
class RetrievalScores:
    """Retrieval scores as fractions of 1, means over the queries that can be answered.

    Attributes:
        rank1, rank5, rank10: share of queries with a right crop among the first 1, 5, 10.
        mAP: mean average precision, each query's as the mean of the precisions at its right crops.
        mINP: mean over queries of right crops / rank of the last one (arXiv:2001.04193).
        queries: that were scored: those with a right crop left in the gallery.
    """

    rank1: float
    rank5: float
    rank10: float
    mAP: float
    mINP: float
    queries: int


def cosine_distance(query: Features, gallery: Features) -> Array:
    """1 − cosine of the angle between features (Q, D) and (G, D); (Q, G) in 0..2.

    A feature of zeros is at distance 1 from everything.
    """
    expect(query, "Q D", "query features")
    expect(gallery, "G D", "gallery features")
    distance: Array = 1.0 - _unit(query) @ _unit(gallery).T
    return distance


def _unit(features: Features) -> Array:
    wide = features.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Array = wide / np.where(length > 0, length, 1.0)
    return unit


def score_retrieval(
    distance: npt.NDArray[np.floating],
    query_id: Labels,
    gallery_id: Labels,
    query_camera: Labels,
    gallery_camera: Labels,
) -> RetrievalScores:
    """Rank the gallery for each query and score the rankings.

    Equal distances keep the gallery's order.

    Args:
        distance: (Q, G), smaller = more alike.
        query_id: whom each query shows (Q,).
        gallery_id: whom each crop shows (G,); −1 = junk.
        query_camera: (Q,).
        gallery_camera: (G,).

    Raises:
        InputError: a distance that is not a number, or no query with a right crop in the gallery.
    """
    return mean_scores(score_queries(distance, query_id, gallery_id, query_camera, gallery_camera))


def mean_scores(each: Array) -> RetrievalScores:
    """Mean over the queries of what `score_queries` returned.

    Raises:
        InputError: no query with a right crop in the gallery.
    """
    first, precision, penalty = each[:, np.isfinite(each[0])]
    if not len(first):
        raise InputError(
            "queries",
            "a crop of the same person from another camera in the gallery",
            "none for any query",
            "check the camera numbers in the names",
        )
    return RetrievalScores(
        rank1=float((first <= 1).mean()),
        rank5=float((first <= 5).mean()),
        rank10=float((first <= 10).mean()),
        mAP=float(precision.mean()),
        mINP=float(penalty.mean()),
        queries=len(first),
    )


def score_queries(
    distance: npt.NDArray[np.floating],
    query_id: Labels,
    gallery_id: Labels,
    query_camera: Labels,
    gallery_camera: Labels,
) -> Array:
    """Score each query's ranking by itself; arguments as for `score_retrieval`.

    Returns:
        (3, Q): rank of the first right crop, average precision, inverse negative penalty; NaN for
        queries without a right crop in the gallery.

    Raises:
        InputError: a distance that is not a number.
    """
    expect(distance, "Q G", "distance")
    if np.isnan(distance).any():
        raise InputError("distances", "numbers", "NaN", "look at the features: is one not finite?")
    right = gallery_id == query_id[:, None]
    counted = _counted(right, gallery_id, query_camera, gallery_camera)
    size = max(1, BLOCK_CELLS // max(1, distance.shape[1]))
    parts = [
        rank_queries(distance[k : k + size], right[k : k + size], counted[k : k + size])
        for k in range(0, len(distance), size)
    ]
    return np.concatenate([np.zeros((3, 0)), *parts], axis=1)


def _counted(right: Mask, gallery_id: Labels, query_camera: Labels, gallery_camera: Labels) -> Mask:
    """Which crops take part for which query (Q, G), by Market-1501's exclusions."""
    counted: Mask = ~((right & (gallery_camera == query_camera[:, None])) | (gallery_id == JUNK))
    return counted


def rank_queries(distance: npt.NDArray[np.floating], right: Mask, counted: Mask) -> Array:
    """Rank of the first right crop, average precision and inverse negative penalty per query.

    Args:
        distance: (Q, G).
        right: (Q, G) whether it is the person looked for.
        counted: (Q, G) whether the crop takes part for this query.

    Returns:
        (3, Q), NaN for queries that have no right crop.
    """
    order = np.argsort(distance, axis=1, kind="stable")
    counted = np.take_along_axis(counted, order, axis=1)
    hit = np.take_along_axis(right, order, axis=1) & counted
    scores = np.full((3, len(distance)), np.nan)
    answered = hit.any(axis=1)
    counted, hit = counted[answered], hit[answered]
    rank = np.cumsum(counted, axis=1)
    hits = np.cumsum(hit, axis=1)
    total = hits.max(axis=1, initial=0)
    precision = np.where(hit, hits / np.maximum(rank, 1), 0.0)
    first = np.where(hit, rank, rank.shape[1] + 1).min(axis=1, initial=rank.shape[1] + 1)
    last = np.where(hit, rank, 0).max(axis=1, initial=0)
    scores[:, answered] = first, precision.sum(axis=1) / total, total / last
    return scores


def best_matches(
    distance: npt.NDArray[np.floating],
    query_id: Labels,
    gallery_id: Labels,
    query_camera: Labels,
    gallery_camera: Labels,
    *,
    count: int,
) -> npt.NDArray[np.intp]:
    """Gallery rows of the nearest crops that count, best first; arguments as `score_retrieval`.

    Returns:
        (Q, count); −1 where no more crops count.
    """
    expect(distance, "Q G", "distance")
    right = gallery_id == query_id[:, None]
    counted = _counted(right, gallery_id, query_camera, gallery_camera)
    order = np.argsort(np.where(counted, distance, np.inf), axis=1, kind="stable")[:, :count]
    order = np.where(np.take_along_axis(counted, order, axis=1), order, -1)
    missing = count - order.shape[1]
    return np.pad(order, ((0, 0), (0, missing)), constant_values=-1)


def pool_queries(
    features: Features, identity: Labels, camera: Labels
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Multi-query: one feature per identity and camera, the mean of its crops' unit features.

    Returns:
        Features (P, D), and the row (P,) of the first crop of each, which stands for them all.
    """
    pairs, first, group = np.unique(
        np.stack([identity, camera], axis=1), axis=0, return_index=True, return_inverse=True
    )
    sums = np.zeros((len(pairs), features.shape[1]))
    np.add.at(sums, group.ravel(), _unit(features))
    return sums / np.bincount(group.ravel())[:, None], first
