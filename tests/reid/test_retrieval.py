import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.errors import InputError
from reid.crops import JUNK
from reid.retrieval import (
    best_matches,
    cosine_distance,
    pool_queries,
    score_queries,
    score_retrieval,
)

A = np.array


def brute_force(distance, query_id, gallery_id, query_camera, gallery_camera):
    """The same in loops, one query after the other."""
    ranks, precisions, penalties = [], [], []
    for q in range(len(query_id)):
        ranked = sorted(range(len(gallery_id)), key=lambda g: (distance[q][g], g))
        hits, shown, found = [], 0, 0
        for g in ranked:
            same = gallery_id[g] == query_id[q]
            if gallery_id[g] == JUNK or (same and gallery_camera[g] == query_camera[q]):
                continue
            shown += 1
            if same:
                found += 1
                hits.append((shown, found / shown))
        if hits:
            ranks.append(hits[0][0])
            precisions.append(sum(p for _, p in hits) / len(hits))
            penalties.append(len(hits) / hits[-1][0])
    cmc = [sum(r <= k for r in ranks) / len(ranks) for k in (1, 5, 10)] if ranks else None
    return cmc, precisions, penalties


def test_a_ranking_by_hand():
    """Right crops at ranks 2 and 4 of those that count: AP (1/2 + 2/4) / 2, mINP 2/4."""
    gallery_id = A([1, 2, 7, JUNK, 3, 1, 1])
    gallery_camera = A([1, 1, 1, 2, 1, 2, 3])
    distance = A([[0.0, 0.1, 0.4, 0.15, 0.3, 0.2, 0.5]])  # the first is its own camera's
    # Ranked: 2 (wrong), 1 (right), 3 (wrong), 7 (wrong), 1 (right).
    scores = score_retrieval(distance, A([1]), gallery_id, A([1]), gallery_camera)
    assert (scores.rank1, scores.rank5, scores.rank10) == (0, 1, 1)
    assert scores.mAP == pytest.approx((1 / 2 + 2 / 5) / 2)
    assert scores.mINP == pytest.approx(2 / 5)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_against_brute_force(seed):
    rng = np.random.default_rng(seed)
    queries, crops = int(rng.integers(1, 12)), int(rng.integers(1, 40))
    distance = np.round(rng.random((queries, crops)), 1)  # many ties
    labels = (
        rng.integers(1, 6, queries),
        rng.integers(-1, 6, crops),
        rng.integers(1, 4, queries),
        rng.integers(1, 4, crops),
    )
    cmc, precisions, penalties = brute_force(distance, *labels)
    if cmc is None:
        with pytest.raises(InputError):
            score_retrieval(distance, *labels)
        return
    scores = score_retrieval(distance, *labels)
    npt.assert_allclose([scores.rank1, scores.rank5, scores.rank10], cmc, atol=1e-9)
    assert scores.mAP == pytest.approx(np.mean(precisions), abs=1e-9)
    assert scores.mINP == pytest.approx(np.mean(penalties), abs=1e-9)
    assert scores.queries == len(precisions)
    each = score_queries(distance, *labels)
    npt.assert_allclose(each[1][np.isfinite(each[1])], precisions, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_best_matches_against_loops(seed):
    rng = np.random.default_rng(seed)
    queries, crops = int(rng.integers(0, 6)), int(rng.integers(0, 12))
    distance = np.round(rng.random((queries, crops)), 1)
    who, crop_of = rng.integers(1, 4, queries), rng.integers(-1, 4, crops)
    camera, seen_by = rng.integers(1, 3, queries), rng.integers(1, 3, crops)
    found = best_matches(distance, who, crop_of, camera, seen_by, count=5)
    assert found.shape == (queries, 5)
    for q in range(queries):
        left = [
            g
            for g in sorted(range(crops), key=lambda g: distance[q, g])
            if crop_of[g] != JUNK and (crop_of[g], seen_by[g]) != (who[q], camera[q])
        ]
        assert found[q].tolist() == (left + [-1] * 5)[:5]


def test_queries_without_an_answer_have_no_score():
    """Of person 2 there is only a crop of the query's own camera, of person 3 none."""
    distance = A([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2]])
    each = score_queries(distance, A([1, 2, 3]), A([2, 1]), A([1, 5, 1]), A([5, 2]))
    npt.assert_array_equal(
        each, [[2, np.nan, np.nan], [0.5, np.nan, np.nan], [0.5, np.nan, np.nan]]
    )


def test_blocks_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    labels = [rng.integers(1, 5, n) for n in (20, 50, 20, 50)]
    distance = rng.random((20, 50))
    whole = score_retrieval(distance, *labels)
    monkeypatch.setattr("reid.retrieval.BLOCK_CELLS", 150)
    assert score_retrieval(distance, *labels) == whole


def test_perfect_features_score_1():
    identity, camera = np.repeat([1, 2, 3], 4), np.tile([1, 2], 6)
    features = np.eye(4)[identity]
    distance = cosine_distance(features, features)
    scores = score_retrieval(distance, identity, identity, camera, camera)
    assert (scores.rank1, scores.mAP, scores.mINP) == (1, 1, 1)


def test_cosine_distance_ignores_length_and_survives_zeros():
    distance = cosine_distance(
        A([[2.0, 0.0], [0.0, 0.0]]), A([[5.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    )
    npt.assert_allclose(distance, [[0, 1, 2], [1, 1, 1]], atol=1e-12)


def test_multi_query_is_the_mean_of_unit_features():
    features = A([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    pooled, first = pool_queries(features, A([4, 4, 4]), A([2, 2, 1]))
    npt.assert_allclose(pooled, [[1.0, 0.0], [0.5, 0.5]])
    assert first.tolist() == [2, 0]


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="NaN"):
        score_retrieval(A([[np.nan, 1.0]]), A([1]), A([1, 2]), A([1]), A([2, 2]))
