"""python -m nets.pretrain as users call it, and the trunk that it leaves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mot.errors import InputError
from nets import pretrain
from nets.menu import build_net
from nets.people import People
from nets.person_crops import CropSettings, PersonCrops, cut_square
from nets.recipe import DataSettings
from nets.settings import NetSettings
from nets.start import start_from
from nets.transfer import slots_of
from nets.weights import load_weights
from tests.conftest import complaint

TINY = [
    *("--backbone", "small", "--width", "0.25", "--crop-px", "32", "--batch", "16", "--workers"),
    *("0", "--log-every", "5", "--device", "cpu", "--amp", "off", "--held-out", "64"),
]
EMPTY = np.zeros((0, 4), np.float32)


class Painted:
    """One 60x80 frame, black but for a white person of 10x30 at 20, 10."""

    name, length, still = "painted", 1, True

    def clip(self, start, count, step):
        image = np.zeros((60, 80, 3), np.uint8)
        image[10:40, 20:30] = 255
        return [image] * count

    def people(self, index):
        one = np.array([[20, 10, 10, 30]], np.float32)
        return People(one, np.zeros(1, np.float32), EMPTY, EMPTY)


@pytest.fixture
def data(make_scene, tmp_path):
    for name in ("A", "B"):
        make_scene(name)
    return ["--data", str(tmp_path), "--cache", str(tmp_path / "cache")]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(pretrain, "draw_curves", lambda log, picture: None)


def trained(data, run, *more):
    pretrain.main([*data, "--out", str(run), *TINY, *more])
    return run / "weights.safetensors"


def test_people_are_told_from_background_on_a_sequence_that_was_held_out(data, tmp_path, capsys):
    trained(data, tmp_path / "run", "--max-steps", "40", "--lr", "0.01")
    out = capsys.readouterr().out
    share = float(out.split("held out: ")[1].split("%")[0])
    assert share > 90, out
    assert "prediction diversity" in out and "same answer" not in out
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert {"loss", "accuracy", "diversity", "grad_norm", "lr"} <= set(log.columns)
    assert log.accuracy.iloc[-1] > log.accuracy.iloc[0]


def test_a_classifier_that_always_says_the_same_is_named(data, tmp_path, capsys):
    trained(data, tmp_path / "run", "--max-steps", "1", "--lr", "1e-9")
    assert "every input gets the same answer" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["frame_stack", "side", "triplane"])
def test_the_trunk_starts_every_net(kind, data, tmp_path):
    path = trained(data, tmp_path / "run", "--max-steps", "1")
    state, _ = load_weights(path)
    settings = NetSettings(net=kind, backbone="small", width=0.25, neck_channels=8, frames=3)
    net = build_net(settings)
    said = start_from(net, str(path))
    # The first convolution of the frame stack is spread over three frames.
    [first, *others] = slots_of(net.trunk)
    stacked = net.state_dict()[f"trunk.{first.conv}.weight"].unflatten(1, (-1, 3)).sum(dim=1)
    torch.testing.assert_close(stacked, state[f"trunk.{first.conv}.weight"])
    for slot in others:
        name = f"trunk.{slot.conv}.weight"
        assert torch.equal(net.state_dict()[name], state[name])
    assert "0 left at random" in said
    assert ("of the source unused" in said) == (kind == "side")  # its stem ends at stride 4


def test_crops_show_what_their_class_says():
    crops = PersonCrops([Painted()], [1.0], CropSettings(32, 0.5, 0), 40, seed=3, count=2)
    images, kind = crops[1]
    assert images.shape == (40, 3, 32, 32) and 5 < int(kind.sum()) < 35
    white = (images[:, 0] > 127).float().mean(dim=(1, 2))
    assert (white[kind == 1] > 0.1).all()
    assert (white[kind == 0] <= 0.1 + 0.02).all()
    again, _ = crops[1]
    assert torch.equal(images, again)
    assert not torch.equal(images, crops[0][0])


def test_a_square_that_reaches_beyond_the_frame_is_filled_with_grey():
    image = np.full((10, 10, 3), 200, np.uint8)
    crop = cut_square(image, np.array([5, -5, 10], np.float32), 10)
    assert (crop[5:, :5] == 200).all() and (crop[:5] == 114).all() and (crop[:, 5:] == 114).all()


def test_no_recording_is_learned_from_and_tested_on(make_scene, tmp_path):
    for name in ("street", "MOT17-02-DPM", "MOT17-02-SDP"):
        make_scene(f"data/{name}")
    settings = DataSettings(
        data=str(tmp_path / "data"),
        cache=str(tmp_path / "data" / "cache"),
        train_seqs=("street", "MOT17-02-DPM", "MOT17-02-SDP"),
        empty_scenes=1,
    )
    (training, shares), [unseen] = pretrain.open_sources(settings)
    assert unseen.name == "MOT17-02-SDP"  # not the street without people, which comes last
    assert "street" in [source.name for source in training] and len(training) == len(shares) == 2
    with pytest.raises(InputError, match="--val-seqs"):
        pretrain.open_sources(replace(settings, train_seqs=settings.train_seqs[1:]))


def test_sequences_without_people_are_refused(make_scene):
    class Nobody(Painted):
        name = "nobody"

        def people(self, index):
            return People(EMPTY, np.zeros(0, np.float32), EMPTY, EMPTY)

    with pytest.raises(InputError, match="nobody: expected somebody of 10 px"):
        PersonCrops([Nobody()], [1.0], CropSettings(), 4, 0, 1)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--class-weights", "1"], "--class-weights: expected none, or two above 0"),
        (["--label-smoothing", "1"], "--label-smoothing: expected a share in [0, 1)"),
        (["--person-share", "0"], "--person-share: expected a share in (0, 1)"),
        (["--crop-px", "8"], "--crop-px: expected at least 32"),
        (["--backbone", "alexnet"], "--backbone: expected one of vgg16"),
        (["--train-seqs", "A"], "--val-seqs: expected a sequence to test on"),
        (["--weights", "none.safetensors"], "none.safetensors: expected a weights file"),
        (["--resume"], "expected a checkpoint, got none"),
    ],
)
def test_mistakes_end_in_one_line(flags, words, data, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        trained(data, tmp_path / "run", *flags)
    assert caught.value.code == 2
    assert words in complaint(capsys)


def test_a_run_goes_on_where_it_stood(data, tmp_path):
    run = tmp_path / "run"
    trained(data, run, "--max-steps", "2")
    before = (run / "log.csv").read_text()
    trained(data, run, "--max-steps", "2", "--resume")
    assert (run / "log.csv").read_text() == before


def test_class_weights_balance_the_shares():
    flags = pretrain.PretrainFlags(crops=CropSettings(person_share=0.25))
    assert flags.balance[0] * 0.75 == pytest.approx(flags.balance[1] * 0.25)
    assert pretrain.PretrainFlags(class_weights=(1, 5)).balance == (1, 5)
