"""Verdicts by their measurements, and people found on held-out clips."""

import math

import numpy as np
import pytest

from nets.held_out import count_hits, found_people
from nets.people import People
from nets.verdict import Measures, verdict_of

NOBODY = np.zeros((0, 4), np.float32)


def judged(ratios=(1.0, 0.9, 1.1), first=2.0, last=1.0, finite=True, held=1.0, skill=0.5, f1=0.7):
    return verdict_of(Measures(ratios, first, last, finite, held, skill, f1))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "converges"),
        ({"ratios": (1.0, math.nan, 1.2)}, "converges"),
        ({"ratios": ()}, "converges"),
        ({"ratios": (1.0, 0.01, 1.0)}, "falls"),
        ({"ratios": (0.6, 0.6, 0.6)}, "falls"),
        ({"f1": 0.4}, "falls"),
        ({"skill": 0.05}, "stalls"),
        ({"skill": math.nan}, "stalls"),
        ({"skill": -3.0, "f1": 0.0}, "stalls"),
        ({"ratios": (0.01, 0.0, 0.04)}, "collapses"),
        ({"ratios": (0.01, math.nan, 0.04)}, "collapses"),
        ({"held": 0.04, "skill": -0.2, "f1": 0.0}, "collapses"),
        ({"held": 0.0, "ratios": (30.0, 1.0, 1.0)}, "collapses"),
        ({"held": math.nan}, "converges"),
        ({"last": 7.0}, "diverges"),
        ({"last": 7.0, "held": 0.0}, "diverges"),
        ({"ratios": (1.0, 12.0, 1.0)}, "diverges"),
        ({"finite": False}, "diverges"),
        ({"finite": False, "ratios": (0.0, 0.0, 0.0)}, "diverges"),
    ],
)
def test_a_verdict_follows_from_what_was_measured(changes, verdict):
    assert judged(**changes) == verdict


def test_dead_frames_are_counted_and_those_without_people_are_not():
    assert Measures((0.0, math.nan, 1.0), 1, 1, True, 1, 0, 0).dead == 1
    assert Measures((0.5, math.nan), 1, 1, True, 1, 0, 0).off == [0.5]


def people(*ltwh, hidden=NOBODY, ignored=NOBODY):
    boxes = np.array(ltwh, np.float32).reshape(-1, 4)
    return People(boxes, np.arange(len(boxes)), np.float32(hidden), np.float32(ignored))


def test_one_place_finds_one_person():
    # Both boxes reach 10 px from their centres (20, 20) and (30, 20).
    two = people((10, 10, 20, 20), (20, 10, 20, 20))
    assert count_hits(np.array([[25.0, 20.0]]), two) == (1, 0, 1)
    assert count_hits(np.array([[25.0, 20.0], [29.0, 20.0]]), two) == (2, 0, 0)
    # Greedy pairs, nearest first, would leave one person and one place over.
    assert count_hits(np.array([[21.0, 20.0], [11.0, 20.0]]), two) == (2, 0, 0)
    assert count_hits(np.array([[41.0, 20.0]]), two) == (0, 1, 2)


def test_empty_frames_have_an_answer():
    nowhere = np.zeros((0, 2))
    assert count_hits(nowhere, people()) == (0, 0, 0)
    assert count_hits(nowhere, people((0, 0, 9, 9))) == (0, 0, 1)
    assert count_hits(np.ones((3, 2)), people()) == (0, 3, 0)


def test_what_hits_hidden_people_or_ignored_regions_is_no_mistake():
    found = np.array([[5.0, 5.0], [45.0, 45.0], [80.0, 80.0]])
    frame = people(hidden=[[0, 0, 10, 10]], ignored=[[40, 40, 10, 10]])
    assert count_hits(found, frame) == (0, 1, 0)


def test_a_density_shows_as_many_people_as_it_sums_to():
    density = np.zeros((1, 8, 10), np.float32)
    density[0, 2, 3], density[0, 5, 8], density[0, 6, 1] = 0.9, 0.8, 0.2  # sum 1.9
    found = found_people({"density": density}, stride=4)
    assert sorted(map(tuple, found)) == [(14.0, 10.0), (34.0, 22.0)]
    assert len(found_people({"density": density * 0}, stride=4)) == 0
    assert len(found_people({"density": density * np.nan}, stride=4)) == 0


def test_centres_count_where_there_are_any():
    logits = np.full((1, 6, 6), -5.0, np.float32)
    logits[0, 1, 2] = 2.0
    found = found_people({"centre": logits, "density": np.ones((1, 6, 6), np.float32)}, stride=8)
    assert found.tolist() == [[20.0, 12.0]]
