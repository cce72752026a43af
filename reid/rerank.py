"""k-reciprocal re-ranking: two crops are alike when they have the same nearest neighbours.

Zhong et al. 2017, "Re-ranking person re-identification with k-reciprocal encoding"
(arXiv:1701.08398). Works on distances alone, for a whole query set and gallery at once; all sets of
neighbours are rows of sparse matrices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mot.errors import InputError
from mot.shapes import expect

Array = npt.NDArray[np.float64]
SHARED_NEIGHBOURS = 2 / 3  # of a candidate's neighbours that must be known for it to add its own


def rerank(
    query_gallery: Array,
    query_query: Array,
    gallery_gallery: Array,
    *,
    k1: int = 20,
    k2: int = 6,
    original_share: float = 0.3,
) -> Array:
    """Mix distances with the Jaccard distance of k-reciprocal neighbourhoods.

    Args:
        query_gallery: distances (Q, G).
        query_query: distances (Q, Q).
        gallery_gallery: distances (G, G).
        k1: neighbours that must be mutual; larger = looser neighbourhoods.
        k2: neighbours whose encodings are averaged, the crop itself included; 1 = none.
        original_share: weight of the original distance (λ of the paper), 0..1.

    Returns:
        (Q, G), smaller = more alike; only its order means something.

    Raises:
        InputError: settings out of range.
    """
    expect(query_gallery, "Q G", "query × gallery distances")
    expect(query_query, "Q Q", "query × query distances")
    expect(gallery_gallery, "G G", "gallery × gallery distances")
    if k1 < 2 or k2 < 1 or not 0 <= original_share <= 1:
        got = f"k1 {k1}, k2 {k2}, original_share {original_share}"
        raise InputError("re-ranking", "k1 ≥ 2, k2 ≥ 1, a share in 0..1", got, "correct it")
    queries = len(query_gallery)
    whole = np.block([[query_query, query_gallery], [query_gallery.T, gallery_gallery]])
    # The paper takes squared distances of unit features, each row relative to its largest.
    whole = whole / np.maximum(whole.max(axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(whole, axis=1, kind="stable")[:, : k1 + 1]
    encoding = _encode(whole, _expanded(nearest, k1))
    if k2 > 1:
        neighbours = _rows(nearest[:, :k2]).astype(np.float64)
        encoding = sparse.diags_array(1 / neighbours.sum(axis=1)) @ neighbours @ encoding
    jaccard = _jaccard(sparse.csr_array(encoding), queries)
    mixed: Array = original_share * whole[:queries, queries:] + (1 - original_share) * jaccard
    return mixed


def _rows(members: npt.NDArray[np.intp]) -> sparse.csr_array:
    """Sets given as (N, k) indices, as a sparse matrix of 0 and 1."""
    count, k = members.shape
    ends = np.arange(0, count * k + 1, k)
    ones = np.ones(count * k, np.int32)
    return sparse.csr_array((ones, members.ravel(), ends), shape=(count, count))


def _reciprocal(nearest: npt.NDArray[np.intp], k: int) -> sparse.csr_array:
    """Sets R(p, k): q among the k nearest of p and p among the k nearest of q, p itself too."""
    near = _rows(nearest[:, : k + 1])
    return sparse.csr_array(near.multiply(near.T))


def _expanded(nearest: npt.NDArray[np.intp], k1: int) -> sparse.csr_array:
    """Sets R*(p, k1): R(p, k1), and the R(q, k1 / 2) of members q that mostly agree with it."""
    wide = _reciprocal(nearest, k1)
    narrow = _reciprocal(nearest, round(k1 / 2))
    shared = sparse.csr_array((wide @ narrow.T).multiply(wide)).tocoo()
    size = narrow.sum(axis=1)
    agrees = shared.data >= SHARED_NEIGHBOURS * size[shared.col]
    chosen = sparse.csr_array(
        (np.ones(agrees.sum(), np.int32), (shared.row[agrees], shared.col[agrees])),
        shape=wide.shape,
    )
    return sparse.csr_array(wide + chosen @ narrow)


def _encode(distance: Array, neighbours: sparse.csr_array) -> sparse.csr_array:
    """Weights exp(−distance) over each set, each row summing to 1."""
    places = neighbours.tocoo()
    weight = np.exp(-distance[places.row, places.col])
    sums = np.bincount(places.row, weight, minlength=len(distance))
    return sparse.csr_array((weight / sums[places.row], (places.row, places.col)), distance.shape)


def _jaccard(encoding: sparse.csr_array, queries: int) -> Array:
    """1 − Σ min / Σ max between the encodings of queries and gallery, (Q, G)."""
    columns = encoding.tocsc()
    count = encoding.shape[0]
    distance = np.empty((queries, count - queries))
    for query in range(queries):
        own = slice(encoding.indptr[query], encoding.indptr[query + 1])
        common = np.zeros(count)
        for place, weight in zip(encoding.indices[own], encoding.data[own], strict=True):
            others = slice(columns.indptr[place], columns.indptr[place + 1])
            common[columns.indices[others]] += np.minimum(weight, columns.data[others])
        # Both rows sum to 1, so the maxima sum to 2 minus the minima.
        distance[query] = 1 - common[queries:] / (2 - common[queries:])
    return distance
