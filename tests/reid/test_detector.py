import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from nets.given import GivenBoxes
from reid.detector import LookSettings, Spaced, detect_step

SIZE = (120, 160)


def given(frames=10):
    rows = [Boxes.of(k, [[10.0 * k, 20, 30, 60]], score=0.9) for k in range(1, frames + 1)]
    return GivenBoxes(Boxes.concatenate(rows), device="cpu")


def stream(first=1, last=10):
    for number in range(first, last + 1):
        yield number, np.full((*SIZE, 3), number, np.uint8)


@pytest.mark.parametrize(
    ("fps", "detect_fps", "step"),
    [(30, 0, 1), (30, 15, 2), (29.97, 10, 3), (25, 15, 1), (25, 10, 2), (7, 10, 1), (30, 1, 30)],
)
def test_spaced_are_no_rarer_than_asked_for(fps, detect_fps, step):
    assert detect_step(fps, detect_fps) == step


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_rates_that_are_none_are_refused(rate):
    with pytest.raises(InputError, match="--detect-fps"):
        LookSettings(rate)


@pytest.mark.parametrize("step", [1, 2, 3, 20])
def test_every_frame_comes_in_order_and_every_so_manyth_is_looked_at(step):
    items = list(Spaced(given(), step).predict(stream(), SIZE))
    assert [item.frame for item in items] == list(range(1, 11))
    assert [k for k in range(1, 11) if items[k - 1].detected] == sorted({*range(1, 11, step), 10})
    assert all(len(item.detections) == item.detected for item in items)
    assert all((item.image == item.frame).all() for item in items)


def test_between_two_spaced_the_density_is_that_of_the_look_before():
    class Growing(GivenBoxes):
        def predict(self, frames, size_hw):
            for item in super().predict(frames, size_hw):
                item.density[:] = item.frame
                yield type(item)(item.frame, item.image, item.density.copy(), item.detections)

    looks = Spaced(Growing(Boxes.empty(), device="cpu"), 4)
    counts = [item.count for item in looks.predict(stream(), SIZE)]
    assert counts == [1] * 4 + [5] * 4 + [9, 10]


def test_where_frames_are_missing_no_look_waits_for_them():
    live = [(k, np.zeros((*SIZE, 3), np.uint8)) for k in (1, 2, 3, 7, 8, 20)]
    items = Spaced(given(20), 3).predict(live, SIZE)
    assert [item.frame for item in items if item.detected] == [1, 7, 20]


def test_every_other_frame_may_be_missing_from_the_start():
    odd = [(k, np.zeros((*SIZE, 3), np.uint8)) for k in range(1, 20, 2)]
    items = Spaced(given(20), 3, every=2).predict(odd, SIZE)
    assert [item.frame for item in items if item.detected] == [1, 7, 13, 19]


@pytest.mark.parametrize("place", range(10))
def test_a_stream_taken_up_again_is_looked_at_in_the_same_places(place):
    looks = Spaced(given(), 3)
    whole = [(item.frame, item.detected) for item in looks.predict(stream(), SIZE)]
    first = 1 + looks.restart(place)
    assert first <= 1 + place
    rest = [(item.frame, item.detected) for item in looks.predict(stream(first), SIZE)]
    assert rest == whole[first - 1 :]
