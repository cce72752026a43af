import numpy as np
import numpy.testing as npt
import pytest

from reid.motion import POSITION, VELOCITY, Hold, Kalman, centred, cornered

NOISE = {"measurement_noise": 0.06, "position_noise": 0.3, "velocity_noise": 0.8, "start_speed": 2}


class NaiveKalman:
    """Oracle: one track, full 8×8 matrices, textbook formulas."""

    def __init__(self, xywh):
        size = np.array([xywh[2], xywh[3]] * 2)
        self.x = np.concatenate([xywh, np.zeros(4)])
        self.p = np.diag(
            np.concatenate(
                [(NOISE["measurement_noise"] * size) ** 2, (NOISE["start_speed"] * size) ** 2]
            )
        )

    def predict(self, dt, hidden):
        if hidden:
            self.x[6:] = 0
        f, q = np.eye(8), np.zeros((8, 8))
        for i in range(4):
            s = self.x[2 + i % 2]
            f[i, i + 4] = dt
            a = (NOISE["velocity_noise"] * s) ** 2
            q[i, i] = a * dt**3 / 3 + (NOISE["position_noise"] * s) ** 2 * dt
            q[i, i + 4] = q[i + 4, i] = a * dt**2 / 2
            q[i + 4, i + 4] = a * dt
        self.x = f @ self.x
        self.p = f @ self.p @ f.T + q

    def correct(self, z):
        h = np.eye(4, 8)
        size = np.array([self.x[2], self.x[3]] * 2)
        s = h @ self.p @ h.T + np.diag((NOISE["measurement_noise"] * size) ** 2)
        k = self.p @ h.T @ np.linalg.inv(s)
        self.x = self.x + k @ (z - h @ self.x)
        self.p = (np.eye(8) - k @ h) @ self.p


def test_the_batched_filter_equals_8_by_8_matrices_track_by_track():
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.uniform(0, 500, (6, 2)), rng.uniform(20, 200, (6, 2))])
    model, oracle = Kalman(**NOISE), [NaiveKalman(box) for box in boxes]
    state = model.start(boxes)
    for step in range(25):
        hidden = rng.random(6) < 0.3
        dt = (step % 3 + 1) / 25
        state = model.predict(state, dt, hidden)
        boxes = boxes + rng.normal(0, 2, boxes.shape)
        met = np.flatnonzero(rng.random(6) < 0.7)
        state[:, met] = model.correct(state[:, met], boxes[met])
        for track in range(6):
            oracle[track].predict(dt, hidden[track])
        for track in met:
            oracle[track].correct(boxes[track])
    x, p = np.stack([o.x for o in oracle]), np.stack([o.p for o in oracle])
    npt.assert_allclose(state[POSITION], x[:, :4], rtol=1e-9)
    npt.assert_allclose(state[VELOCITY], x[:, 4:], rtol=1e-9, atol=1e-9)
    blocks = [[np.diag(m[:4, :4]), np.diag(m[:4, 4:]), np.diag(m[4:, 4:])] for m in p]
    npt.assert_allclose(state[2:].transpose(1, 0, 2), blocks, rtol=1e-9)


def walk(model, steps, dt, speed):
    box = np.array([[0.0, 0.0, 40.0, 100.0]])
    state = model.start(box)
    for step in range(1, steps):
        state = model.predict(state, dt, np.zeros(1, bool))
        state = model.correct(state, box + [speed * dt * step, 0, 0, 0])
    return state


@pytest.mark.parametrize("fps", [5, 30])
def test_the_speed_of_a_steady_walk_is_found_at_every_frame_rate(fps):
    state = walk(Kalman(**NOISE), 3 * fps, 1 / fps, speed=60.0)
    assert state[VELOCITY, 0, 0] == pytest.approx(60, rel=0.02)
    assert abs(state[VELOCITY, 0, 1]) < 1e-9


def test_noise_is_relative_to_the_box_so_a_larger_picture_scales_everything():
    model, rng = Kalman(**NOISE), np.random.default_rng(1)
    boxes = np.array([[50.0, 60.0, 30.0, 80.0]]) + rng.normal(0, 1, (10, 1, 4))
    states = []
    for zoom in (1, 3):
        state = model.start(zoom * boxes[0])
        for box in boxes[1:]:
            state = model.predict(state, 0.04, np.zeros(1, bool))
            state = model.correct(state, zoom * box)
        states.append(state)
    npt.assert_allclose(states[1][:2], 3 * states[0][:2], rtol=1e-9)


def test_a_hidden_track_moves_on_but_keeps_its_size():
    model = Kalman(**NOISE)
    state = walk(model, 20, 0.1, speed=50)
    state[VELOCITY, 0, 2:] = 7
    later = model.predict(state, 1.0, np.ones(1, bool))
    npt.assert_allclose(later[POSITION, 0, 2:], state[POSITION, 0, 2:])
    assert later[POSITION, 0, 0] > state[POSITION, 0, 0] + 40


def test_a_shrinking_box_never_turns_inside_out():
    state = Kalman(**NOISE).start(np.array([[0.0, 0.0, 10.0, 10.0]]))
    state[VELOCITY, 0, 2:] = -1000
    later = Kalman(**NOISE).predict(state, 1.0, np.zeros(1, bool))
    assert (later[POSITION, 0, 2:] == 5).all()


def test_no_tracks_are_a_case():
    model = Kalman(**NOISE)
    state = model.predict(model.start(np.empty((0, 4))), 0.1, np.empty(0, bool))
    assert model.correct(state, np.empty((0, 4))).shape == (5, 0, 4)


def test_hold_stays_where_it_was_measured():
    model = Hold()
    state = model.start(np.array([[1.0, 2, 3, 4]]))
    state = model.correct(state, np.array([[5.0, 6, 7, 8]]))
    npt.assert_array_equal(model.predict(state, 9.0, np.ones(1, bool))[POSITION], [[5, 6, 7, 8]])


def test_centres_and_corners_are_inverse():
    boxes = np.random.default_rng(0).uniform(1, 9, (5, 4))
    npt.assert_allclose(cornered(centred(boxes)), boxes)
    npt.assert_array_equal(centred(np.array([[10.0, 20, 4, 6]])), [[12, 23, 4, 6]])
