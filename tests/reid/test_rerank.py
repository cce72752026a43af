import numpy as np
import numpy.testing as npt
import pytest

from mot.errors import InputError
from reid.rerank import rerank
from reid.retrieval import cosine_distance, score_retrieval


def brute_force(whole, queries, k1, k2, share):
    """The paper's steps in loops over sets."""
    count = len(whole)
    whole = whole / whole.max(axis=1, keepdims=True)
    ranked = [sorted(range(count), key=lambda j: (whole[i][j], j)) for i in range(count)]

    def reciprocal(p, k):
        return {q for q in ranked[p][: k + 1] if p in ranked[q][: k + 1]}

    codes = np.zeros((count, count))
    for p in range(count):
        wide = reciprocal(p, k1)
        grown = set(wide)
        for q in wide:
            narrow = reciprocal(q, round(k1 / 2))
            if len(wide & narrow) >= 2 / 3 * len(narrow):
                grown |= narrow
        members = sorted(grown)
        weights = np.exp(-whole[p, members])
        codes[p, members] = weights / weights.sum()
    if k2 > 1:
        codes = np.stack([codes[ranked[p][:k2]].mean(axis=0) for p in range(count)])
    jaccard = np.array(
        [
            [
                1 - np.minimum(codes[p], codes[g]).sum() / np.maximum(codes[p], codes[g]).sum()
                for g in range(queries, count)
            ]
            for p in range(queries)
        ]
    )
    return share * whole[:queries, queries:] + (1 - share) * jaccard


def distances(rng, queries, gallery):
    features = rng.normal(size=(queries + gallery, 4))
    whole = cosine_distance(features, features)
    np.fill_diagonal(whole, 0)
    return whole, (whole[:queries, queries:], whole[:queries, :queries], whole[queries:, queries:])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("k1", "k2", "share"), [(20, 6, 0.3), (4, 1, 0.0), (6, 3, 1.0)])
def test_against_brute_force(seed, k1, k2, share):
    rng = np.random.default_rng(seed)
    whole, parts = distances(rng, 5, 30)
    found = rerank(*parts, k1=k1, k2=k2, original_share=share)
    npt.assert_allclose(found, brute_force(whole, 5, k1, k2, share), atol=1e-9)


def test_a_gallery_smaller_than_its_neighbourhoods():
    _, parts = distances(np.random.default_rng(0), 1, 2)
    assert np.isfinite(rerank(*parts)).all()


def test_neighbours_pull_a_far_crop_of_the_same_person_near():
    """A chain of one person's crops; another person's lone crop is nearer to the query."""
    angle = np.radians([0, 12, 24, 36, 48, 60, -50, -130, -140, -150])
    features = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    identity = np.array([1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
    camera = np.arange(10)
    whole = cosine_distance(features, features)
    query = slice(0, 1), slice(1, 10)
    labels = identity[:1], identity[1:], camera[:1], camera[1:]
    before = score_retrieval(whole[query], *labels)
    mixed = rerank(whole[query], whole[:1, :1], whole[1:, 1:], k1=4, k2=2)
    after = score_retrieval(mixed, *labels)
    assert before.mAP < 1 and after.mAP == 1


def test_settings_out_of_range_are_refused():
    _, parts = distances(np.random.default_rng(0), 2, 5)
    for wrong in ({"k1": 1}, {"k2": 0}, {"original_share": 1.5}):
        with pytest.raises(InputError):
            rerank(*parts, **wrong)
