"""train.py as users call it."""

import numpy as np
import pandas as pd
import pytest

import train
from nets.predict import load_net
from nets.recipe import load_recipe
from tests.conftest import complaint

TINY = [
    *("--width", "0.125", "--neck-channels", "8", "--crop", "32", "64", "--batch", "2"),
    *("--workers", "0", "--max-steps", "2", "--log-every", "1", "--device", "cpu", "--amp", "off"),
]


@pytest.fixture
def data(make_scene, tmp_path):
    for name in ("A", "B", "C"):
        make_scene(name)
    return ["--data", str(tmp_path), "--cache", str(tmp_path / "cache")]


@pytest.fixture(autouse=True)
def without_pictures(request, monkeypatch):
    """Curves take most of a tiny run's time; one test looks at them."""
    if "first_page" not in request.node.name:
        monkeypatch.setattr("nets.density_job.draw_curves", lambda log, picture: None)


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == 2
    return complaint(capsys)


def test_the_command_of_the_first_page(tmp_path, capsys):
    """python train.py --frames 5 --labelrate 30 --out RUN, on rendered scenes."""
    run = tmp_path / "run"
    scenes = ["--scenes", "1", "--cache", str(tmp_path / "cache")]
    train.main(["--frames", "5", "--labelrate", "30", "--out", str(run), *TINY, *scenes])
    files = ("config.yaml", "log.csv", "weights.safetensors", "curves.png", "checkpoint.pt")
    assert all((run / name).stat().st_size > 0 for name in files)
    log = pd.read_csv(run / "log.csv")
    assert list(log.columns[:7]) == ["step", "loss", *(f"mass_ratio_{k}" for k in range(5))]
    assert str(run / "weights.safetensors") in capsys.readouterr().out
    settings = load_recipe(run / "config.yaml")
    assert settings.net.frames == 5
    assert settings.loss.labelrate == 30
    assert settings.augment.crop == (32, 64)


def test_sequences_by_name(data, tmp_path):
    run = tmp_path / "run"
    names = ["--train-seqs", "A", "B", "--val-seqs", "C"]
    train.main([*data, *names, "--frames", "2", "--out", str(run), *TINY])
    assert pd.read_csv(run / "log.csv").val_loss.notna().tolist() == [False, True]
    settings = load_recipe(run / "config.yaml")
    assert settings.data.train_seqs == ("A", "B")
    assert settings.data.val_seqs == ("C",)


@pytest.mark.parametrize("frames", ["1", "4"])
@pytest.mark.parametrize("net", ["side", "top", "triplane"])
def test_nets_over_planes_of_time_at_a_size_that_no_stride_divides(net, frames, data, tmp_path):
    run = tmp_path / "run"
    names = ["--train-seqs", "A", "--net", net, "--frames", frames]
    train.main([*data, *names, "--out", str(run), *TINY, "--crop", "34", "50"])
    assert np.isfinite(pd.read_csv(run / "log.csv").loss).all()
    assert load_net(run / "weights.safetensors").net.settings.net == net


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--train-seqs", "Z"], "sequence Z: expected a sequence folder of that name"),
        (["--val-seqs", "Z"], "sequence Z: expected"),
        (["--stills", "Z"], "expected a folder of photos with boxes.csv"),
        (["--train-seqs", "A", "--val-seqs", "A"], "--val-seqs: expected recordings"),
        (["--net", "unet"], "--net: expected one of frame_stack, side, top, triplane, got unet"),
        (["--backbone", "alexnet"], "--backbone: expected one of vgg16"),
        (["--loss", "huber"], "--loss: expected some of mse, l1, focal, count"),
        (["--label", "round"], "--label: expected one of quadratic, gaussian"),
        (["--heads", "density", "depth"], "--heads: expected a selection of"),
        (["--optimiser", "lion"], "--optimiser: expected one of adamw, adam, sgd, got lion"),
        (["--frames", "13"], "expected at least 13 frames, got 12"),
        (["--net", "side", "--frames", "20"], "expected at least 20 frames, got 12"),
        (["--net", "side", "--fuse", "8"], "--fuse: expected left out beside --net side"),
        (["--frames", "0"], "--frames: expected at least 1, got 0"),
        (["--frames", "five"], "five"),
        (["--labelrate", "-1"], "--labelrate: expected a gain above 0"),
        (["--freeze", "9", "--weights", "imagenet"], "--freeze: expected at most"),
        (["--freeze", "1"], "--weights: expected weights worth freezing"),
        (["--weights", "none.safetensors"], "none.safetensors: expected a weights file"),
        (["--inflate", "twice"], "--inflate: expected repeat or centre, got twice"),
        (["--device", "tpu"], "--device: expected auto, cpu or"),
        (["--config", "none.yaml"], "none.yaml: expected a recipe (YAML), got no such file"),
        (["--resume"], "expected a checkpoint, got none"),
        (["--frmaes", "5"], "--frmaes"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_2(flags, words, data, tmp_path, capsys):
    run = tmp_path / "run"
    assert words in refused([*TINY, *data, "--out", str(run), *flags], capsys)
    assert not run.exists() or not list(run.iterdir())


def test_a_recipe_is_read_and_flags_beside_it_win(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("net: {frames: 3, width: 0.5}\nloss: {labelrate: 100}\n")
    flags = train.read_flags(["--frames", "7", "--config", str(recipe), "--out", "x"])
    assert flags.settings.net.frames == 7
    assert flags.settings.net.width == 0.5
    assert flags.settings.loss.labelrate == 100
    assert flags.out == "x"


def test_flags_are_judged_with_the_recipe_that_they_are_laid_over(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("schedule: {max_steps: 5000}\nweights: imagenet\ndata: {cutouts: [people]}\n")
    beside = ["--sgd-from", "2000", "--freeze", "2", "--paste-share", "0.5"]
    flags = train.read_flags(["--config", str(recipe), *beside])
    assert (flags.settings.schedule.freeze, flags.settings.schedule.sgd_from) == (2, 2000)
    assert flags.settings.augment.paste_share == 0.5


def test_an_unknown_key_of_a_recipe_is_named_with_its_file(tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("net: {frame: 3}\n")
    line = refused(["--config", str(recipe)], capsys)
    assert f"{recipe}: net: expected one of" in line
    assert "got frame;" in line


def test_the_config_of_a_run_is_a_recipe_for_the_same_run(data, tmp_path):
    train.main([*data, "--train-seqs", "A", "--frames", "2", "--out", str(tmp_path / "1"), *TINY])
    config = str(tmp_path / "1" / "config.yaml")
    train.main(["--config", config, "--out", str(tmp_path / "2")])
    texts = [(tmp_path / run / "config.yaml").read_text() for run in "12"]
    assert texts[0] == texts[1]
    logs = [(tmp_path / run / "log.csv").read_text() for run in "12"]
    assert logs[0] == logs[1]


def test_a_run_is_not_overwritten_and_resume_finds_its_settings(data, tmp_path, capsys):
    run = tmp_path / "run"
    train.main([*data, "--train-seqs", "A", "--frames", "2", "--out", str(run), *TINY])
    log = (run / "log.csv").read_text()
    capsys.readouterr()
    line = refused([*data, "--frames", "2", "--out", str(run), *TINY], capsys)
    assert "use another --out or --resume" in line
    train.main(["--resume", "--out", str(run)])
    assert (run / "log.csv").read_text() == log
    capsys.readouterr()
    assert "schedule.lr" in refused(["--resume", "--out", str(run), "--lr", "0.1"], capsys)


def test_raw_loss_chooses_the_relu():
    assert train.read_flags(["--raw-loss"]).settings.net.activation == "relu"
    assert train.read_flags([]).settings.net.activation == "softplus"
