import doctest
import json
import math
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import nets
from mot.errors import InputError
from nets.notes import Calibration, NetNotes
from nets.predict import Predictor, PredictSettings, TrainedNet, input_size, load_net
from nets.runner import Model, Runner
from nets.settings import NetSettings
from nets.weights import load_weights, save_weights

SIZE_HW = (32, 64)
CELLS_HW = (8, 16)


def predictor(
    run, frames=3, heads=("density", "centre", "box"), parallel=1, calibration=None, **settings
):
    notes = NetNotes(NetSettings(frames=frames, heads=heads), 32 * 64, calibration or Calibration())
    trained = TrainedNet(notes, Model(Path("none"), heads, ()))
    return Predictor(trained, PredictSettings(**settings), Runner("test", run, parallel))


def numbered_frames(count):
    for number in range(1, count + 1):
        yield number, np.full((*SIZE_HW, 3), number, np.uint8)


def numbers_of(clips):
    """Frame numbers that a window (1, T, 3, H, W) shows."""
    return clips[0, :, 0, 0, 0].astype(int).tolist()


def value_of(numbers, index):
    """What the runner below answers for the frame at `index` of a window: depends on the window."""
    return 10.0 * numbers[index] + index + 0.1 * numbers[0]


class WindowRunner:
    """Density that tells in which window, and where in it, a frame was seen."""

    def __init__(self):
        self.windows = []

    def __call__(self, clips):
        assert clips.dtype == np.uint8 and clips.flags.c_contiguous
        numbers = numbers_of(clips)
        self.windows.append(numbers)
        maps = np.zeros((1, len(numbers), 1, *CELLS_HW), np.float32)
        for index in range(len(numbers)):
            maps[0, index] = value_of(numbers, index)
        return {"density": maps}


def fused_by_hand(count, frames, overlap):
    """Each frame's density: the mean over all windows that hold it, inner positions count more."""
    sums, weights = np.zeros(count + 1), np.zeros(count + 1)
    start = 1
    while True:
        window = [min(number, count) for number in range(start, start + frames)]
        for index in range(frames):
            if start + index <= count:
                weight = min(index + 1, frames - index) if overlap else 1
                sums[start + index] += weight * value_of(window, index)
                weights[start + index] += weight
        if start + frames > count:
            return sums[1:] / weights[1:]
        start += frames - overlap


@pytest.mark.parametrize(
    ("frames", "overlap"), [(t, overlap) for t in (1, 3, 5) for overlap in range(t)]
)
def test_every_frame_once_in_order_fused_as_by_hand(frames, overlap):
    for count in range(1, 13):
        runner = WindowRunner()
        machine = predictor(runner, frames, heads=("density",), overlap=overlap)
        found = list(machine.predict(numbered_frames(count), SIZE_HW))
        assert [p.frame for p in found] == list(range(1, count + 1))
        assert all((p.image == p.frame).all() and p.image.shape == (*SIZE_HW, 3) for p in found)
        density = [p.density[0, 0] for p in found]
        np.testing.assert_allclose(density, fused_by_hand(count, frames, overlap), rtol=1e-5)
        assert len(runner.windows) == 1 + max(0, math.ceil((count - frames) / (frames - overlap)))


def test_a_short_last_window_is_filled_with_its_last_frame():
    runner = WindowRunner()
    list(predictor(runner, 5, heads=("density",)).predict(numbered_frames(7), SIZE_HW))
    assert runner.windows == [[1, 2, 3, 4, 5], [6, 7, 7, 7, 7]]


def test_no_frames_no_predictions():
    assert list(predictor(WindowRunner()).predict(iter(()), SIZE_HW)) == []


@pytest.mark.parametrize("overlap", [0, 2, 4])
def test_holds_one_window_of_frames(overlap):
    living = weakref.WeakSet()

    class Frame(np.ndarray):
        """An array that can be counted."""

    def frames():
        for number, image in numbered_frames(200):
            frame = image.view(Frame)
            living.add(frame)
            yield number, frame

    Frame.__hash__ = object.__hash__
    Frame.__eq__ = object.__eq__
    machine = predictor(WindowRunner(), 5, heads=("density",), overlap=overlap)
    most = max(len(living) for _ in machine.predict(frames(), SIZE_HW))
    assert most <= 5 + 2  # and the one that is looked at, and the one that comes next


def slow_at_first(clips):
    """The earlier a window, the longer it takes."""
    first = numbers_of(clips)[0]
    time.sleep(0.02 if first < 4 else 0.0)
    return WindowRunner()(clips)


@pytest.mark.parametrize(("frames", "overlap"), [(1, 0), (3, 2)])
def test_windows_at_once_give_what_one_after_the_other_gives(frames, overlap):
    heads = ("density",)
    for parallel in (2, 3):
        machine = predictor(slow_at_first, frames, heads, parallel, overlap=overlap)
        found = list(machine.predict(numbered_frames(9), SIZE_HW))
        assert [p.frame for p in found] == list(range(1, 10))
        density = [p.density[0, 0] for p in found]
        np.testing.assert_allclose(density, fused_by_hand(9, frames, overlap), rtol=1e-5)


def test_windows_at_once_wait_for_no_later_frame():
    asked, go_on = [], threading.Event()

    def frames():
        for number, image in numbered_frames(3):
            asked.append(number)
            yield number, image
            assert go_on.wait(10)

    stream = predictor(WindowRunner(), 1, ("density",), 2).predict(frames(), SIZE_HW)
    assert next(stream).frame == 1 and asked == [1]
    go_on.set()
    assert [p.frame for p in stream] == [2, 3]


def test_a_reader_that_stops_early_leaves_no_thread_and_a_failure_is_its_own():
    before = threading.active_count()
    stream = predictor(slow_at_first, 1, ("density",), 2).predict(numbered_frames(99), SIZE_HW)
    next(stream)
    stream.close()
    assert threading.active_count() == before

    def fail(clips):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(predictor(fail, 1, ("density",), 2).predict(numbered_frames(5), SIZE_HW))
    assert threading.active_count() == before


def test_asks_for_no_more_frames_than_a_window():
    asked = []

    def frames():
        for number, image in numbered_frames(100):
            asked.append(number)
            yield number, image

    next(predictor(WindowRunner(), 5, heads=("density",)).predict(frames(), SIZE_HW))
    assert asked == [1, 2, 3, 4, 5]


def spot_runner(clips):
    """One person of 16 x 24 pixels around cell (3, 5), and a density of 0.25 in two cells."""
    frames = clips.shape[1]
    centre = np.full((1, frames, 1, *CELLS_HW), -200.0, np.float32)
    centre[..., 3, 5] = 2.0
    box = np.ones((1, frames, 4, *CELLS_HW), np.float32)
    box[..., 3, 5] = (6, 10, 10, 14)
    density = np.zeros((1, frames, 1, *CELLS_HW), np.float32)
    density[..., 3, 5:7] = 0.25
    return {"density": density, "centre": centre, "box": box}


@pytest.mark.filterwarnings("error")
def test_boxes_come_in_pixels_of_the_original_frame():
    found = list(predictor(spot_runner).predict(numbered_frames(4), (96, 128)))
    for prediction in found:
        boxes = prediction.detections
        # Cell (3, 5) at stride 4 has its centre at x = 22, y = 14; the frame was 2 by 3 as large.
        np.testing.assert_allclose(boxes.ltwh, [[(22 - 6) * 2, (14 - 10) * 3, 16 * 2, 24 * 3]])
        np.testing.assert_allclose(boxes.score, 1 / (1 + math.exp(-2)), rtol=1e-6)
        assert boxes.frame.tolist() == [prediction.frame] and boxes.id.tolist() == [-1]


def test_count_is_the_density_sum():
    prediction = next(predictor(spot_runner).predict(numbered_frames(3), SIZE_HW))
    assert prediction.count == prediction.density.sum() == 0.5
    assert prediction.density.shape == CELLS_HW


def test_least_score_holds():
    quiet = predictor(spot_runner, min_score=0.95)
    assert not any(len(p.detections) for p in quiet.predict(numbered_frames(4), SIZE_HW))


def test_density_alone_gives_no_boxes_and_centres_alone_no_density():
    def chosen(*heads):
        return lambda clips: {name: spot_runner(clips)[name] for name in heads}

    machine = predictor(chosen("density"), heads=("density",))
    prediction = next(machine.predict(numbered_frames(3), SIZE_HW))
    assert machine.has_density and prediction.count == 0.5 and len(prediction.detections) == 0
    machine = predictor(chosen("centre", "box"), heads=("centre", "box"))
    prediction = next(machine.predict(numbered_frames(3), SIZE_HW))
    assert not machine.has_density
    assert prediction.density.shape == CELLS_HW and prediction.count == 0
    assert len(prediction.detections) == 1


def test_calibration_maps_the_scores():
    machine = predictor(spot_runner, calibration=Calibration((0.0, 1.0), (0.0, 0.5)))
    prediction = next(machine.predict(numbered_frames(3), SIZE_HW))
    np.testing.assert_allclose(prediction.detections.score, 0.5 / (1 + math.exp(-2)), rtol=1e-6)


@pytest.mark.parametrize("size_hw", [(1080, 1920), (480, 640), (48, 64), (1, 5000), (5000, 1)])
def test_input_size_keeps_shape_and_area(size_hw):
    rows, columns = input_size(size_hw, 960 * 544)
    assert rows % 32 == columns % 32 == 0 and rows >= 32 and columns >= 32
    if min(size_hw) > 1:
        assert rows * columns == pytest.approx(960 * 544, rel=0.1)
        assert rows / columns == pytest.approx(size_hw[0] / size_hw[1], rel=0.1)


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"overlap": 3}, "--overlap"),
        ({"overlap": -1}, "--overlap"),
        ({"test_px": -1}, "--test-px"),
        ({"test_px": 5}, "--test-px"),
        ({"min_score": float("nan")}, "--min-score"),
        ({"min_score": 1.5}, "--min-score"),
        ({"nms_iou": 0.0}, "--nms-iou"),
        ({"amp": "maybe"}, "--amp"),
    ],
)
def test_settings_out_of_range_are_named(settings, flag):
    with pytest.raises(InputError, match=flag):
        predictor(spot_runner, **settings)


def test_weights_come_back_as_they_were_saved(tiny_weights):
    trained = load_net(tiny_weights)
    assert trained.net.settings.frames == 3 and trained.notes.test_px == 64 * 64
    assert not trained.net.training
    state, _ = load_weights(tiny_weights)
    for name, value in trained.net.state_dict().items():
        assert torch.equal(value.float(), state[name].float())


def changed_notes(tiny_weights, path, **changes):
    state, notes = load_weights(tiny_weights)
    notes = {key: value for key, value in (notes | changes).items() if value is not None}
    save_weights(path, state, notes)
    return path


def test_a_stored_calibration_is_read(tiny_weights, tmp_path):
    text = json.dumps([[0.1, 0.9], [0.0, 1.0]])
    path = changed_notes(tiny_weights, tmp_path / "net.safetensors", calibration=text)
    assert load_net(path).notes.calibration == Calibration((0.1, 0.9), (0.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": None}, "weights of a Footfall net"),
        ({"test_px": None}, "weights of a Footfall net"),
        ({"test_px": "many"}, "test_px"),
        ({"test_px": "0"}, "test_px"),
        ({"settings": "{"}, "JSON"),
        ({"settings": NetSettings(frames=3).to_json()}, "shape"),
        ({"calibration": "{"}, "calibration"),
        ({"calibration": "[[0, 1]]"}, "calibration"),
        ({"calibration": "[[0, 1], [1]]"}, "calibration"),
        ({"calibration": "[[], []]"}, "calibration"),
        ({"calibration": "7"}, "calibration"),
    ],
)
def test_notes_that_cannot_be_used_are_named_with_their_file(
    tiny_weights, tmp_path, changes, message
):
    path = changed_notes(tiny_weights, tmp_path / "net.safetensors", **changes)
    with pytest.raises(InputError, match=message) as refusal:
        load_net(path)
    assert str(path) in str(refusal.value)


def test_other_files_are_refused(tiny_weights, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_weights.read_bytes()[:-100])
    pickled = tmp_path / "net.pt"
    torch.save({"a": torch.zeros(3)}, pickled)
    for path, message in (
        (tmp_path / "none.safetensors", "no such file"),
        (cut, "cut off"),
        (pickled, "pickle"),
        (tmp_path, "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            load_net(path)


def test_the_notebook_example_holds(tiny_weights):
    images = [np.full((64, 96, 3), 40 * k, np.uint8) for k in range(4)]
    names = {"weights": str(tiny_weights), "images": images}
    [example] = doctest.DocTestFinder(recurse=False).find(nets, "nets", globs=names)
    assert doctest.DocTestRunner().run(example).failed == 0 < len(example.examples)


def test_images_of_any_size_have_boxes_in_their_own_pixels(tiny_weights):
    machine = Predictor(load_net(tiny_weights), PredictSettings(backend="torch", amp="off"))
    images = [np.full((128, 192, 3), 120, np.uint8)] * 2
    found = list(machine.predict_images(images))
    assert max(p.detections.ltwh[:, 0].max() for p in found) > 96  # the net saw 64 columns
    assert [p.image.shape for p in found] == [(64, 64, 3)] * 2
    assert list(machine.predict_images([])) == []
