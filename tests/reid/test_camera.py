import functools

import cv2
import numpy as np
import numpy.testing as npt
import pytest

from mot.errors import InputError
from reid.camera import METHODS, CameraMotion, still, warp_state
from reid.motion import POSITION, VELOCITY, Kalman

WIDTH, HEIGHT = 640, 360
NOBODY = np.empty((0, 4))
MARGIN = 120


def turn(degrees=0.0, zoom=1.0, shift=(0.0, 0.0), size_wh=(WIDTH, HEIGHT)):
    """Map of a camera that turns and zooms about the frame's middle, then shifts, in pixels."""
    angle = np.deg2rad(degrees)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array(size_wh) / 2
    return np.column_stack([linear, middle - linear @ middle + shift])


@functools.cache
def wall(width, height, seed=0):
    """A wall larger than the frame, with detail at several scales."""
    rng = np.random.default_rng(seed)
    shape = (height + 2 * MARGIN, width + 2 * MARGIN)
    layers = [cv2.GaussianBlur(rng.normal(0, s, shape), (0, 0), s) for s in (2.0, 5.0, 15.0)]
    grey = cv2.normalize(sum(layers), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def view(affine=None, size_wh=(WIDTH, HEIGHT), seed=0):
    """What a camera sees of the wall after it moved; 0 is the edge of the first pixel."""
    affine = still() if affine is None else affine
    linear, shift = affine[:, :2], affine[:, 2]
    # From the wall's pixel middles to the frame's.
    corner = np.full(2, float(MARGIN))
    of_middles = np.column_stack([linear, linear @ (0.5 - corner) + shift - 0.5])
    return cv2.warpAffine(wall(*size_wh, seed), of_middles, size_wh, flags=cv2.INTER_CUBIC)


def corner_error(found, expected, size_wh=(WIDTH, HEIGHT)):
    width, height = size_wh
    corners = [(0, 0), (width, 0), (0, height), (width, height)]
    places = [[m[:, :2] @ np.array(c) + m[:, 2] for c in corners] for m in (found, expected)]
    return max(np.linalg.norm(a - b) for a, b in zip(*places, strict=True))


def put(image, x, y, w, h, seed=9):
    """A person: another texture, in a box."""
    picture = image.copy()
    picture[y : y + h, x : x + w] = wall(WIDTH, HEIGHT, seed)[:h, :w]
    return picture


def estimated(method, first, second, boxes=(NOBODY, NOBODY), scale=1.0):
    camera = CameraMotion(method)
    camera.estimate(first, boxes[0], scale)
    return camera.estimate(second, boxes[1], scale)


# --- estimation


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "affine",
    [
        turn(shift=(3.3, -1.7)),
        turn(shift=(-40.0, 15.0)),
        turn(degrees=2.5),
        turn(zoom=1.04),
        turn(zoom=0.95),
        turn(degrees=-1.5, zoom=1.03, shift=(12.4, 7.1)),
    ],
    ids=["step", "pan", "roll", "zoom in", "zoom out", "all"],
)
def test_a_moving_camera_is_recovered_to_half_a_pixel_at_the_corners(method, affine):
    assert corner_error(estimated(method, view(), view(affine)), affine) < 0.5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seen_wh", [(960, 544), (480, 288), (256, 160)])
def test_what_a_net_sees_is_scaled_back_to_the_original(method, seen_wh):
    size_wh = (1280, 720)
    affine = turn(1.0, 1.02, (20.0, -8.0), size_wh)
    frames = [
        cv2.resize(view(m, size_wh), seen_wh, interpolation=cv2.INTER_AREA)
        for m in (still(), affine)
    ]
    scale = np.array(size_wh) / seen_wh
    assert corner_error(estimated(method, *frames, scale=scale), affine, size_wh) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_frames_add_up_to_the_way_of_the_camera(method):
    camera, way = CameraMotion(method), np.eye(3)
    for step in range(6):
        affine = camera.estimate(view(turn(0.4 * step, 1.01**step, (6.0 * step, 0.0))), NOBODY)
        way = np.vstack([affine, [0, 0, 1]]) @ way
    assert corner_error(way[:2], turn(2.0, 1.01**5, (30.0, 0.0))) < 2.0


@pytest.mark.parametrize("method", METHODS)
def test_a_person_who_walks_past_a_still_camera_moves_nothing(method):
    boxes = [np.array([[x, 20.0, 300.0, 320.0]]) for x in (100, 112)]
    frames = [put(view(), int(b[0, 0]), 20, 300, 320) for b in boxes]
    npt.assert_array_equal(estimated(method, *frames, boxes=boxes), still())
    assert corner_error(estimated(method, *frames), still()) > 1.0  # who is not masked does


@pytest.mark.parametrize("method", METHODS)
def test_the_background_tells_the_camera_while_a_person_walks_the_other_way(method):
    affine = turn(shift=(-14.0, 2.0))
    boxes = [np.array([[x, 30.0, 200.0, 300.0]]) for x in (200, 215)]
    frames = [
        put(view(m), int(b[0, 0]), 30, 200, 300)
        for m, b in zip((still(), affine), boxes, strict=True)
    ]
    assert corner_error(estimated(method, *frames, boxes=boxes), affine) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_noise_of_a_still_camera_is_stillness(method):
    rng = np.random.default_rng(1)
    frames = [
        (view() + rng.normal(0, 2, (HEIGHT, WIDTH, 1))).clip(0, 255).astype(np.uint8)
        for _ in range(2)
    ]
    npt.assert_array_equal(estimated(method, *frames), still())


@pytest.mark.parametrize("method", METHODS)
def test_the_first_frame_has_moved_from_nowhere(method):
    npt.assert_array_equal(CameraMotion(method).estimate(view(), NOBODY), still())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_frames_without_anything_to_hold_on_to_give_the_identity(method, value):
    blank = np.full((HEIGHT, WIDTH, 3), value, np.uint8)
    for first, second in ((blank, blank), (blank, view()), (view(), blank)):
        npt.assert_array_equal(estimated(method, first, second), still())


@pytest.mark.parametrize("method", METHODS)
def test_another_scene_gives_the_identity(method):
    npt.assert_array_equal(estimated(method, view(), view(seed=5)), still())


@pytest.mark.parametrize("method", METHODS)
def test_a_wild_move_gives_the_identity(method):
    npt.assert_array_equal(estimated(method, view(), view(turn(zoom=1.4))), still())


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_full_of_people_gives_the_identity(method):
    crowd = np.array([[-50.0, -50.0, 800.0, 500.0]])
    npt.assert_array_equal(
        estimated(method, view(), view(turn(shift=(9.0, 0.0))), boxes=(crowd, crowd)), still()
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_same_frames_give_the_same_bytes(method):
    second = put(view(turn(1.0, 1.01, (8.0, 3.0))), 50, 50, 250, 250)
    results = set()
    for seed, threads in ((1, 1), (2, 2), (3, 2)):
        cv2.setRNGSeed(seed)
        cv2.setNumThreads(threads)
        results.add(estimated(method, view(), second).tobytes())
    cv2.setNumThreads(-1)
    assert len(results) == 1


@pytest.mark.parametrize("size_wh", [(1, 1), (7, 5), (32, 32)])
@pytest.mark.parametrize("method", METHODS)
def test_tiny_frames_are_a_case(method, size_wh):
    frame = view()[: size_wh[1], : size_wh[0]]
    assert estimated(method, frame, frame).shape == (2, 3)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(InputError, match="flow, ecc"):
        CameraMotion("gyro")
    camera = CameraMotion()
    camera.estimate(view(), NOBODY)
    with pytest.raises(InputError, match="one CameraMotion per video"):
        camera.estimate(view()[:200], NOBODY)
    with pytest.raises(InputError, match="image"):
        camera.estimate(view()[..., 0], NOBODY)
    with pytest.raises(InputError, match="scale"):
        camera.estimate(view(), NOBODY, 0.0)


# --- state


def crowd_state(count=5):
    rng = np.random.default_rng(2)
    model = Kalman(0.1, 0.3, 0.4, 2.0)
    boxes = rng.uniform(20, 300, (count, 4))
    state = model.correct(model.start(boxes), boxes + rng.normal(0, 3, boxes.shape))
    return model.predict(state, 0.1, np.zeros(count, bool))


def test_a_state_moves_as_its_points_do():
    # Oracle: two points of each track, now and a second later, and a box's four sides.
    affine, before = turn(7.0, 1.1, (30.0, -4.0)), crowd_state()
    after = warp_state(before, affine)
    for track in range(before.shape[1]):
        place, velocity = before[POSITION, track, :2], before[VELOCITY, track, :2]
        now = affine @ [*place, 1]
        later = affine @ [*(place + velocity), 1]
        npt.assert_allclose(after[POSITION, track, :2], now)
        npt.assert_allclose(after[VELOCITY, track, :2], later - now)
        npt.assert_allclose(after[:2, track, 2:], 1.1 * before[:2, track, 2:])
    npt.assert_allclose(after[2:], 1.1**2 * before[2:])


def test_a_state_warped_back_is_itself():
    affine = turn(3.0, 0.9, (5.0, 6.0))
    there = warp_state(crowd_state(), affine)
    back = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    npt.assert_allclose(warp_state(there, back), crowd_state(), atol=1e-9)


def test_a_still_camera_leaves_the_state_as_it_is():
    state = crowd_state()
    assert warp_state(state, still()).tobytes() == state.tobytes()


def test_a_shift_leaves_all_but_the_centres():
    before = crowd_state()
    after = warp_state(before, turn(shift=(4.0, -2.0)))
    npt.assert_allclose(after[POSITION, :, :2], before[POSITION, :, :2] + (4.0, -2.0))
    npt.assert_array_equal(after[1:], before[1:])


def test_the_state_of_nobody_is_a_case():
    assert warp_state(np.empty((5, 0, 4)), turn(shift=(4.0, 0.0))).shape == (5, 0, 4)
