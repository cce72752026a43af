import numpy as np
import numpy.testing as npt
import pytest

from mot.boxes import Boxes
from reid.smoothing import Smoother
from reid.stages import run


def walk(frames, identity, left, noise=0.0, seed=0):
    frames = np.asarray(frames, float)
    rng = np.random.default_rng(seed)
    rest = np.full((len(frames), 3), [50.0, 40.0, 100.0])
    ltwh = np.column_stack([left(frames), rest]) + rng.normal(0, 1, (len(frames), 4)) * noise
    return Boxes.of(frames, ltwh, id=identity, score=0.9)


def smoothed(*people, sigma, length=30):
    table = Boxes.concatenate(people).sorted_by_frame()
    frames = list(run(Smoother(sigma), table.by_frame(length)))
    assert [number for number, _ in frames] == list(range(1, length + 1))
    return Boxes.concatenate([boxes for _, boxes in frames])


def test_a_steady_walk_stays_as_it_is_even_at_its_ends_and_beside_another():
    one = walk(range(1, 31), 1, lambda t: 7 * t)
    two = walk(range(5, 20), 2, lambda t: 300 - 3 * t)
    rows = smoothed(one, two, sigma=3.0)
    npt.assert_allclose(rows.ltwh, Boxes.concatenate([one, two]).sorted_by_frame().ltwh, rtol=1e-5)


def test_what_comes_out_is_a_weighted_regression_on_the_neighbours():
    noisy = walk([*range(1, 11), *range(14, 31)], 1, lambda t: 7 * t, noise=4.0)
    rows, sigma = smoothed(noisy, sigma=2.0), 2.0
    for frame in (1, 9, 14, 22, 30):
        near = abs(noisy.frame - frame) <= 3 * sigma
        t = noisy.frame[near].astype(float) - frame
        weight = np.exp(-0.25 * (t / sigma) ** 2)  # polyfit squares what it is given
        for name in "xywh":
            value = np.polyfit(t, getattr(noisy, name)[near].astype(float), 1, w=weight)[1]
            assert getattr(rows, name)[rows.frame == frame][0] == pytest.approx(value, abs=1e-3)


def test_wider_windows_are_steadier():
    noisy = walk(range(1, 31), 1, lambda t: 7 * t, noise=4.0)
    errors = [
        np.abs(smoothed(noisy, sigma=sigma).x - 7 * np.arange(1, 31)).mean() for sigma in (0, 1, 3)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_no_window_and_a_single_box_change_nothing():
    noisy = walk(range(1, 31), 1, lambda t: 7 * t, noise=4.0)
    assert (smoothed(noisy, sigma=0.0).ltwh == noisy.ltwh).all()
    lone = walk([4], 1, lambda t: 7 * t)
    npt.assert_allclose(smoothed(lone, sigma=3.0).ltwh, lone.ltwh)
    assert len(smoothed(sigma=3.0)) == 0


def test_frames_wait_for_three_deviations_only():
    taken = []

    def frames():
        for number in range(1, 31):
            taken.append(number)
            yield number, walk([number], 1, lambda t: 7 * t)

    assert next(run(Smoother(2.0), frames()))[0] == 1
    assert taken[-1] == 7
