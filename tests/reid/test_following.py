import pickle
from pathlib import Path

import pytest

from mot.footage import footage_of
from mot.sequence import open_sequence
from nets.given import GivenBoxes
from nets.predict import Predictor, PredictSettings, load_net
from reid.detector import LookSettings
from reid.following import Follower
from reid.linker import MENU
from tests.conftest import FRAMES

FAST = {"backend": "torch", "amp": "off"}


def follower(folder: Path, weights: Path, state=None, *, every=1, detect_fps=15.0, **settings):
    footage = footage_of(open_sequence(folder), every=every)
    predictor = Predictor(load_net(weights), PredictSettings(**FAST, **settings))
    looks = LookSettings(detect_fps)
    return Follower(footage, predictor, MENU["byte"], looks=looks, state=state)


def seen(item):
    rows = [column.tolist() for column in vars(item.tracks).values()]
    return item.frame, item.seconds, rows, item.density_count, item.prediction.image.tobytes()


def test_every_frame_comes_once_with_its_own_picture(scene, tiny_weights):
    frames = []
    for item in follower(scene, tiny_weights):
        frames.append(item.frame)
        grey = float(item.prediction.image[:6].mean())  # a frame's grey tells its number
        assert grey == pytest.approx(20 * item.frame, abs=6)
        assert set(item.tracks.frame) <= {item.frame}
        assert item.density_count == pytest.approx(float(item.prediction.density.sum()))
    assert frames == list(range(1, FRAMES + 1))


@pytest.mark.parametrize(
    ("overlap", "every", "looks"),
    [(0, 1, 1), (1, 1, 1), (2, 2, 1), (0, 1, 2), (1, 1, 3), (0, 2, 2)],
)
def test_a_run_that_was_stored_goes_on_to_the_same_bytes(
    make_scene, tiny_weights, overlap, every, looks
):
    folder = make_scene("long", frames=11, seqLength=11)
    rate = open_sequence(folder).require_fps() / every / looks
    options = {"overlap": overlap, "every": every, "detect_fps": rate}
    whole = [seen(item) for item in follower(folder, tiny_weights, **options)]
    assert len(whole) == len(range(0, 11, every))
    for stop in range(len(whole)):
        first = follower(folder, tiny_weights, **options)
        frames = iter(first)
        begun = [seen(next(frames)) for _ in range(stop)]
        stored = pickle.loads(pickle.dumps(first.state()))
        frames.close()
        rest = [seen(item) for item in follower(folder, tiny_weights, stored, **options)]
        assert begun + rest == whole


def test_boxes_of_a_file_are_linked_in_the_place_of_a_nets(scene):
    sequence = open_sequence(scene)
    given = GivenBoxes(sequence.detections())
    items = list(Follower(footage_of(sequence), given, MENU["byte"]))
    assert [item.frame for item in items] == list(range(1, FRAMES + 1))
    assert all(item.tracks.id.tolist() == [1] for item in items)
    assert items[0].density_count is None
