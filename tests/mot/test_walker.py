import numpy as np
import pytest

from mot.walker import (
    COCO_JOINTS,
    JOINTS,
    PARTS,
    Figures,
    body_joints,
    random_look,
)

PHASES = np.linspace(0, 2 * np.pi, 25)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ANKLE, RIGHT_ANKLE = 5, 6, 15, 16
BONES = [(5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16), (5, 6), (11, 12)]


def walk(phases=PHASES, effort=1.0):
    phases = np.asarray(phases, float)
    return body_joints(phases, np.full(len(phases), effort), np.full((len(phases), 2), 0.3))


def stand(heading=(1.0, 0.0), size=100.0, seed=0, depth_of_left=0.1):
    """One figure of a size whose hips are near (200, 200)."""
    body = walk([0.4])
    joints = np.stack([200 + size * body[..., 0], 300 - size * body[..., 2]], axis=-1)
    depth = np.zeros((1, JOINTS))
    depth[:, LEFT_SHOULDER] = depth_of_left
    look = random_look(np.random.default_rng(seed))
    return Figures(joints, depth, np.array([heading]), np.array([size]), [look])


def test_bones_keep_their_length_through_the_gait():
    joints = walk()
    for start, end in BONES:
        length = np.linalg.norm(joints[:, start] - joints[:, end], axis=1)
        assert np.ptp(length) < 1e-3, (COCO_JOINTS[start], COCO_JOINTS[end])


def test_one_foot_is_always_on_the_ground_and_none_below():
    ankles = walk()[:, [LEFT_ANKLE, RIGHT_ANKLE], 2]
    assert ankles.min(axis=1) == pytest.approx(0.04)
    assert ankles.max() > 0.1


def test_gait_repeats_after_one_cycle_and_mirrors_after_half():
    joints, again, half = walk(), walk(PHASES + 2 * np.pi), walk(PHASES + np.pi)
    np.testing.assert_allclose(joints, again, atol=1e-9)
    np.testing.assert_allclose(joints[:, LEFT_ANKLE, 0], half[:, RIGHT_ANKLE, 0], atol=1e-9)


def test_arms_swing_against_the_legs():
    joints = walk()
    wrist, ankle = joints[:, 9, 0], joints[:, LEFT_ANKLE, 0]
    assert np.corrcoef(wrist, ankle)[0, 1] < -0.7


def test_standing_is_still_and_upright():
    joints = walk(effort=0.0)
    assert np.ptp(joints, axis=0).max() < 1e-9
    assert joints[0, 0, 2] == pytest.approx(0.92, abs=0.05)  # nose
    assert joints[0, LEFT_SHOULDER, 1] > 0 > joints[0, RIGHT_SHOULDER, 1]


def test_nobody_has_joints_too():
    empty = np.empty(0)
    assert body_joints(empty, empty, np.empty((0, 2))).shape == (0, JOINTS, 3)


@pytest.mark.parametrize("heading", [(1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (-0.6, 0.8)], ids=str)
def test_every_part_is_painted_once(heading):
    figures = stand(heading)
    parts = figures.order(0)
    assert sorted(parts) == list(np.flatnonzero(figures.shown[0]))
    assert figures.colours(0, parts).shape == (len(parts), 3)


def test_near_arm_is_painted_last_and_brighter():
    figures = stand(depth_of_left=0.1)
    names = [PARTS[k] for k in figures.order(0)]
    assert names.index("left_forearm") < names.index("torso") < names.index("right_forearm")
    colours = figures.colours(0, np.array([PARTS.index("left_hand"), PARTS.index("right_hand")]))
    assert colours[0].sum() < colours[1].sum()


def test_face_is_hidden_from_behind_only():
    away = [PARTS[k] for k in stand((0.0, 1.0)).order(0)]
    towards = [PARTS[k] for k in stand((0.0, -1.0)).order(0)]
    assert away.index("head") < away.index("hair")
    assert towards.index("hair") < towards.index("head")


def test_box_holds_the_joints_and_is_as_tall_as_the_figure():
    figures = stand(size=100.0)
    left, top, width, height = figures.boxes_ltwh()[0]
    joints = figures.joints[0, :17]
    assert (joints >= [left, top]).all() and (joints <= [left + width, top + height]).all()
    assert height == pytest.approx(100, rel=0.1)
    assert 20 < width < 80


def test_looks_differ_and_are_repeatable():
    looks = [random_look(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (looks[0].colours == looks[1].colours).all()
    assert (looks[0].colours != looks[2].colours).any()
    assert all(look.colours.min() >= 4 and look.colours.max() <= 250 for look in looks)
