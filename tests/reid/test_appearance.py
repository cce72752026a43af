from dataclasses import replace

import numpy as np
import pytest

from mot.boxes import Boxes
from reid.linker import MENU, Linker
from reid.linking import link_stream
from reid.sight import Sight

FPS = 10.0
BYTE = replace(MENU["byte"], fill_gap_s=0.0, smooth_s=0.0, max_gap_s=0.5)
RED, BLUE = np.eye(2, dtype=np.float32)


def person(frames, x, top=100.0, height=100.0):
    frames = np.asarray(frames, float)
    left = x(frames) if callable(x) else np.full(len(frames), float(x))
    rest = np.full((len(frames), 3), [top, 40.0, height])
    return Boxes.of(frames, np.column_stack([left, rest]), score=0.9)


class Wardrobe:
    """Looks by place: who stands left of `border` wears the first colour. Counts its questions."""

    def __init__(self, colours, border=1e9):
        self.colours, self.border, self.asked = colours, border, 0

    def __call__(self, frame, detections):
        def look(ltwh):
            self.asked += len(ltwh)
            left, right = self.colours[frame] if frame in self.colours else self.colours[0]
            return np.where((ltwh[:, :1] < self.border), left, right).astype(np.float32)

        return Sight(look=look)


def followed(*people, sight, length=60, **changes):
    frames = Boxes.concatenate(people).by_frame(length)
    stream = link_stream(frames, fps=FPS, settings=replace(BYTE, **changes), sight=sight)
    return Boxes.concatenate([boxes for _, boxes in stream])


HIDDEN = [*range(1, 16), *range(35, 61)]  # for two seconds


def test_a_person_who_looks_the_same_gets_the_identity_back():
    tracks = followed(person(HIDDEN, 50), sight=Wardrobe({0: (RED, RED)}))
    assert set(tracks.id) == {1} and len(tracks) == len(HIDDEN)


def test_somebody_who_looks_different_is_somebody_else():
    colours = {0: (RED, RED)} | {frame: (BLUE, BLUE) for frame in range(30, 61)}
    assert set(followed(person(HIDDEN, 50), sight=Wardrobe(colours)).id) == {1, 2}


def test_without_eyes_boxes_decide_alone():
    scene = person(HIDDEN, 50)
    assert set(followed(scene, sight=None).id) == {1, 2}
    assert set(followed(scene, sight=Wardrobe({0: (RED, RED)}), reid_gap_s=0.0).id) == {1, 2}


def test_of_two_who_return_each_gets_his_own_identity_although_they_changed_places():
    one = [person(range(1, 16), 50), person(range(35, 61), 150)]
    two = [person(range(1, 16), 150), person(range(35, 61), 50)]
    colours = {0: (RED, BLUE)} | {frame: (BLUE, RED) for frame in range(20, 61)}
    tracks = followed(*one, *two, sight=Wardrobe(colours, border=100))
    for frame, order in ((10, [1, 2]), (50, [2, 1])):
        now = tracks.at(frame)
        assert now.id[np.argsort(now.x)].tolist() == order
    assert all((np.diff(tracks.at(frame).id) > 0).all() for frame in range(1, 61))


def test_nobody_is_recognised_who_was_seen_meanwhile_or_stands_too_far_away():
    twin = person(range(30, 61), 120)
    tracks = followed(person(range(1, 61), 50), twin, sight=Wardrobe({0: (RED, RED)}))
    assert set(tracks.id) == {1, 2}
    far = (person(range(1, 16), 50), person(range(35, 61), 900))
    assert set(followed(*far, sight=Wardrobe({0: (RED, RED)})).id) == {1, 2}


@pytest.mark.parametrize(
    ("name", "few", "many", "scene"),
    [
        ("reid_gap_s", 1.0, 4.0, (person(HIDDEN, 50),)),
        ("reid_reach", 0.2, 2.0, (person(range(1, 16), 50), person(range(35, 61), 250))),
    ],
)
def test_higher_settings_find_more_people_again(name, few, many, scene):
    counts = [
        len(set(followed(*scene, sight=Wardrobe({0: (RED, RED)}), **{name: value}).id))
        for value in (few, many)
    ]
    assert counts == [2, 1]


def test_a_higher_reid_cosine_finds_fewer():
    alike = np.array([0.8, 0.6], np.float32)  # cosine 0.8 with red
    colours = {0: (RED, RED)} | {frame: (alike, alike) for frame in range(30, 61)}
    ids = [
        set(followed(person(HIDDEN, 50), sight=Wardrobe(colours), reid_cosine=least).id)
        for least in (0.7, 0.9)
    ]
    assert ids == [{1}, {1, 2}]


def test_people_are_looked_at_now_and_then_and_only_where_nobody_hides_them():
    wardrobe = Wardrobe({0: (RED, RED)})
    followed(person(range(1, 61), 50), sight=wardrobe, look_every_s=1.0)
    assert wardrobe.asked == 6
    crowd = Wardrobe({0: (RED, RED)})
    followed(person(range(1, 61), 50), person(range(1, 61), 60), sight=crowd)
    assert crowd.asked == 0


def test_the_order_of_detections_does_not_matter():
    scene = Boxes.concatenate([person(HIDDEN, 60.0 * k) for k in range(5)])
    shuffled = scene[np.random.default_rng(0).permutation(len(scene))]
    one, two = (
        followed(s, sight=Wardrobe({0: (RED, BLUE)}, border=130)) for s in (scene, shuffled)
    )
    for name in ("frame", "id", "x"):
        assert (getattr(one, name) == getattr(two, name)).all()


def test_tracks_move_along_with_the_camera():
    # The camera turns by 30 px a frame; the person stands still beside the road.
    scene = person(range(1, 31), lambda t: 600 - 30.0 * (t > 10) * (t - 10))
    turn = np.array([[1.0, 0, -30], [0, 1, 0]])

    def sight(frame, boxes):
        return Sight(camera=turn if frame > 10 else None)

    blind = Linker(replace(BYTE, start_speed=0.0, velocity_noise=0.0), FPS)
    seeing = Linker(replace(BYTE, start_speed=0.0, velocity_noise=0.0), FPS)
    ids = [
        (blind.update(boxes).id.tolist(), seeing.update(boxes, sight(frame, boxes)).id.tolist())
        for frame, boxes in scene.by_frame(30)
    ]
    assert ids[-1][1] == [1] and ids[-1][0] != [1]
