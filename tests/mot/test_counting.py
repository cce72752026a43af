import pickle

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.counting import Counter, in_polygon, parse_line, parse_zone, require_inside
from mot.errors import InputError

FPS = 10.0
SQUARE = parse_zone("door=100,100,200,100,200,200,100,200", 1)
FENCE = parse_line("100,150,200,150", 1)  # along +x: its right is below


def stand(frame, *feet):
    """People 1, 2, … whose feet are at these places; None = away."""
    there = [(k, place) for k, place in enumerate(feet, 1) if place is not None]
    ltwh = [[x - 10, y - 60, 20, 60] for _, (x, y) in there]
    return Boxes.of(frame, ltwh, id=[k for k, _ in there])


def walk(counter, *paths):
    """Feed one path (list of places) per person; return all answers of zones and lines."""
    zones, events = [], []
    for frame, feet in enumerate(zip(*paths, strict=True), 1):
        occupancy, crossed = counter.update(frame, stand(frame, *feet))
        zones.append([(o.people, o.entered, o.left) for o in occupancy])
        events += [(e.frame, e.id, e.inward, e.people_in, e.people_out) for e in crossed]
    return zones, events


def down(x=150, first=100, last=200, frames=21):
    return [(x, y) for y in np.linspace(first, last, frames)]


def test_a_person_who_walks_across_is_counted_once_and_the_way_back_too():
    counter = Counter([], [FENCE], FPS)
    _, events = walk(counter, down() + down()[::-1])
    # The line is passed at frame 12 (y 155) and 31; the hold time is three frames.
    assert events == [(15, 1, True, 1, 0), (35, 1, False, 1, 1)]
    assert counter.totals() == {"line1": {"in": 1, "out": 1}}


def test_turning_the_line_round_turns_in_and_out():
    _, events = walk(Counter([], [parse_line("200,150,100,150", 1)], FPS), down())
    assert [inward for *_, inward, _, _ in events] == [False]


def test_the_line_ends_at_its_ends():
    _, events = walk(Counter([], [FENCE], FPS), down(x=90), down(x=105), down(x=210))
    assert [person for _, person, *_ in events] == [2]


def test_jitter_on_the_line_is_no_crossing():
    jitter = [(150, 149 + 2 * (k % 2)) for k in range(30)]
    assert walk(Counter([], [FENCE], FPS), jitter)[1] == []


def test_a_person_who_was_missed_on_the_line_is_counted_where_the_path_meets_it():
    path = down()
    path[8:14] = [None] * 6
    assert len(walk(Counter([], [FENCE], FPS), path)[1]) == 1


def test_occupancy_of_a_zone_and_who_came_and_went():
    through = [(150, y) for y in range(60, 260, 10)]
    inside = [(150, 150)] * 20
    zones, _ = walk(Counter([SQUARE], [], FPS), through, inside)
    assert zones[0] == [(1, 0, 0)]  # who is there at first has not entered
    assert zones[10] == [(2, 1, 0)] and zones[-1] == [(1, 1, 1)]


def test_nobody_is_in_the_zone_who_is_not_in_the_frame():
    zones, _ = walk(Counter([SQUARE], [], FPS), [(150, 150), None, (150, 150)])
    assert [people for [(people, _, _)] in zones] == [1, 0, 1]


def test_stored_in_the_middle_it_goes_on_the_same():
    paths = down(), down(x=120)[::-1]
    whole = walk(Counter([SQUARE], [FENCE], FPS), *paths)
    counter, answers = Counter([SQUARE], [FENCE], FPS), ([], [])
    for frame, feet in enumerate(zip(*paths, strict=True), 1):
        counter = pickle.loads(pickle.dumps(counter))
        occupancy, crossed = counter.update(frame, stand(frame, *feet))
        answers[0].append([(o.people, o.entered, o.left) for o in occupancy])
        answers[1].extend((e.frame, e.id, e.inward, e.people_in, e.people_out) for e in crossed)
    assert answers == whole


def test_concave_polygons_against_a_naive_walk_around():
    rng = np.random.default_rng(1)
    polygon = np.array([[0, 0], [10, 0], [10, 10], [5, 4], [0, 10]], float)
    points = rng.uniform(-2, 12, (500, 2))

    def winding(point):
        angles = np.arctan2(*(polygon - point).T[::-1])
        turns = np.diff(np.append(angles, angles[0]))
        return abs(((turns + np.pi) % (2 * np.pi) - np.pi).sum()) > 1

    assert in_polygon(points, polygon).tolist() == [winding(p) for p in points]
    assert in_polygon(np.empty((0, 2)), polygon).shape == (0,)


@pytest.mark.parametrize(
    "text", ["", "1,2", "a=1,2,3,4", "1,2,3,4,x,6", "1,1,2,2,3,3", "a b=1,2,3"]
)
def test_a_zone_needs_an_area(text):
    with pytest.raises(InputError, match="--zone"):
        parse_zone(text, 1)


@pytest.mark.parametrize("text", ["1,2", "1,2,1,2", "1,2,3,4,5,6", "nan,1,2,3"])
def test_a_line_needs_two_ends(text):
    with pytest.raises(InputError, match="--line"):
        parse_line(text, 1)


def test_what_lies_outside_the_frame_is_refused():
    require_inside([SQUARE], 150, 150)
    with pytest.raises(InputError, match="door outside"):
        require_inside([SQUARE], 100, 500)
    with pytest.raises(InputError, match="differ"):
        require_inside([SQUARE, SQUARE], 500, 500)
