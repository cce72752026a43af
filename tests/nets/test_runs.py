"""Training runs of a tiny density net: resumed, broken, refused."""

import json
import math
import resource
from dataclasses import replace

import pandas as pd
import pytest
import torch

import train as command
from mot.errors import InputError
from nets import density_job as density
from nets import training
from nets.density_run import batches
from nets.loader import load_batches
from nets.losses import LossSettings
from nets.recipe import recipe_text
from nets.settings import NetSettings
from nets.sources import training_sources
from nets.weights import load_weights
from tests.conftest import press_ctrl_c


@pytest.fixture(autouse=True)
def without_pictures(request, monkeypatch):
    """Curves take most of a tiny run's time; one test looks at them."""
    if "complete" not in request.node.name:
        monkeypatch.setattr(density, "draw_curves", lambda log, picture: None)


def stop_after(steps, monkeypatch):
    """Press Ctrl-C when so many steps have been taken."""
    plain, taken = training._step, []

    def step(*args):
        taken.append(1)
        if len(taken) == steps:
            press_ctrl_c()
        return plain(*args)

    monkeypatch.setattr(training, "_step", step)


def train_in_two(settings, run, monkeypatch, first=3):
    with monkeypatch.context() as patch:
        stop_after(first, patch)
        with pytest.raises(KeyboardInterrupt):
            command.run_training(settings, run)
    assert torch.load(run / "checkpoint.pt")["step"] == first
    command.run_training(settings, run, resume=True)


def assert_same_run(one, other):
    assert (one / "log.csv").read_text() == (other / "log.csv").read_text()
    weights = [load_weights(run / "weights.safetensors") for run in (one, other)]
    assert weights[0][1] == weights[1][1]
    assert all(torch.equal(value, weights[1][0][key]) for key, value in weights[0][0].items())
    checkpoints = [torch.load(run / "checkpoint.pt") for run in (one, other)]
    for name in ("net", "average"):
        for key, value in checkpoints[0][name].items():
            assert torch.equal(value, checkpoints[1][name][key]), key
    states = [checkpoint["optimiser"]["state"] for checkpoint in checkpoints]
    for key, moments in states[0].items():
        assert all(torch.equal(value, states[1][key][name]) for name, value in moments.items())


def test_a_resumed_run_is_the_run_that_did_not_stop(workers, settings, tmp_path, monkeypatch):
    """With and without loader processes, and in the middle of a row of the log."""
    command.run_training(settings, tmp_path / "whole")
    schedule = replace(settings.schedule, workers=workers)
    train_in_two(replace(settings, schedule=schedule), tmp_path / "parts", monkeypatch)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_run_leaves_its_folder_complete(settings, tmp_path):
    run = tmp_path / "run"
    command.run_training(settings, run)
    log = pd.read_csv(run / "log.csv")
    assert list(log.columns[:4]) == ["step", "loss", "mass_ratio_0", "mass_ratio_1"]
    assert {"lr", "grad_norm", "val_loss", "density_loss", "doctor"} <= set(log.columns)
    assert log.step.tolist() == [2, 4, 6]
    assert log.val_loss.notna().tolist() == [False, True, True]
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((run / "tensorboard").glob("events*"))
    weights, notes = load_weights(run / "weights.safetensors")
    assert NetSettings.from_json(notes["settings"]) == settings.net
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_rows_after_the_checkpoint_are_written_once(settings, tmp_path, monkeypatch):
    """A run that dies between checkpoints has rows, and half a row, that it will write again."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            command.run_training(settings, run)
    early = (run / "checkpoint.pt").read_bytes()
    command.run_training(settings, run, resume=True)
    whole = (run / "log.csv").read_text()
    assert whole.count("\n") == 1 + 3
    (run / "log.csv").write_text(whole + "8,0.1")
    (run / "checkpoint.pt").write_bytes(early)
    command.run_training(settings, run, resume=True)
    assert (run / "log.csv").read_text() == whole


def break_loss(monkeypatch, at, value=math.nan):
    """Make the density loss of one batch not finite."""
    plain, calls = density.total_loss, []

    def total_loss(*args):
        loss, parts = plain(*args)
        calls.append(1)
        if len(calls) != at:
            return loss, parts
        parts["density"] = parts["density"] * value
        return loss * value, parts

    monkeypatch.setattr(density, "total_loss", total_loss)


def test_a_loss_that_is_not_finite_is_named_and_loses_nothing(settings, tmp_path, monkeypatch):
    run = tmp_path / "run"
    settings = replace(settings, data=replace(settings.data, val_seqs=()))
    with monkeypatch.context() as patch:
        break_loss(patch, at=4)
        with pytest.raises(InputError) as caught:
            command.run_training(settings, run)
    message = str(caught.value)
    assert message.startswith(f"{run / 'bad_batch.pt'}: expected a finite loss")
    assert "density loss nan in the step after 3" in message
    assert f"--weights {run / 'weights.safetensors'}" in message
    frames, targets = torch.load(run / "bad_batch.pt")
    assert frames.shape == (2, 2, 3, 32, 64)
    assert set(targets) >= {"density", "centre", "valid"}
    assert torch.load(run / "checkpoint.pt")["step"] == 3
    load_weights(run / "weights.safetensors")  # refuses what is not finite
    # The state is the one before the bad step: without the fault, the run goes on as if it had
    # never been.
    command.run_training(settings, run, resume=True)
    command.run_training(settings, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", run)


@pytest.fixture
def stopped(settings, tmp_path, monkeypatch):
    """A run that was stopped after its first step."""
    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            command.run_training(settings, run)
    return run


def contents(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_checkpoints_that_cannot_be_resumed_change_nothing(settings, stopped):
    before = contents(stopped)
    other = replace(settings, schedule=replace(settings.schedule, lr=0.5))
    with pytest.raises(InputError, match=r"schedule.lr 0.0015, got 0.5; leave the flag out"):
        command.run_training(other, stopped, resume=True)
    other = replace(settings, net=replace(settings.net, frames=3))
    with pytest.raises(InputError, match=r"net.frames 2, got 3"):
        command.run_training(other, stopped, resume=True)
    assert contents(stopped) == before
    checkpoint = stopped / "checkpoint.pt"
    whole = checkpoint.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"text"):
        checkpoint.write_bytes(broken)
        with pytest.raises(InputError, match="a whole checkpoint"):
            command.run_training(settings, stopped, resume=True)
    for foreign in ([1, 2], {"config": 3}):
        torch.save(foreign, checkpoint)
        with pytest.raises(InputError, match="a checkpoint of a training"):
            command.run_training(settings, stopped, resume=True)
    lame = torch.load(stopped / "checkpoint.pt") | {"config": recipe_text(settings)}
    torch.save(lame | {"net": {}}, checkpoint)
    with pytest.raises(InputError, match="a checkpoint of this net"):
        command.run_training(settings, stopped, resume=True)
    checkpoint.unlink()
    with pytest.raises(InputError, match="a checkpoint, got none"):
        command.run_training(settings, stopped, resume=True)
    left = {p: b for p, b in contents(stopped).items() if p != checkpoint}
    assert left == {p: b for p, b in before.items() if p != checkpoint}


def test_where_and_with_how_many_hands_may_change(settings, stopped):
    schedule = replace(settings.schedule, checkpoint_minutes=9.0, device="auto", workers=0)
    command.run_training(replace(settings, schedule=schedule), stopped, resume=True)
    assert torch.load(stopped / "checkpoint.pt")["step"] == 6


def test_a_full_disk_ends_in_one_line_and_keeps_the_last_checkpoint(settings, stopped, capsys):
    """A limit on file sizes refuses writes as a full disk does."""
    kept = {n: (stopped / n).read_bytes() for n in ("checkpoint.pt", "weights.safetensors")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SystemExit) as caught:
            command.main(["--resume", "--out", str(stopped)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ")
    assert "checkpoint" in message
    for name, content in kept.items():
        assert (stopped / name).read_bytes() == content
    assert not list(stopped.glob(".*"))  # no half-written file is left


def test_a_folder_that_cannot_be_written_ends_in_one_line(settings, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    config = tmp_path / "recipe.yaml"
    config.write_text(recipe_text(settings))
    with pytest.raises(SystemExit) as caught:
        command.main(["--config", str(config), "--out", str(tmp_path / "file" / "run")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_photo_that_breaks_while_training_is_named(workers, settings, tmp_path):
    """Loader processes hand on the error as it is."""
    import cv2
    import numpy as np

    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "a.png"), np.zeros((48, 64, 3), np.uint8))
    (photos / "boxes.csv").write_text("image,x,y,w,h\na.png,4,4,10,20\n")
    data = replace(settings.data, train_seqs=(), stills=("photos",))
    settings = replace(settings, data=data)
    clips = batches(*training_sources(data), settings, 1, 3)
    (photos / "a.png").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"a\.png"):
        next(iter(load_batches(clips, 0, workers)))


def test_the_doctor_is_fed_with_masses_and_the_kind_of_loss(settings, tmp_path, monkeypatch):
    fed = []

    class Recorder:
        def __init__(self, frames, *, raw_loss):
            fed.append((frames, raw_loss))

        def update(self, step, pred_mass, true_mass, diversity, grad_norm, loss):
            fed.append((step, pred_mass, true_mass, diversity))
            return ["said"]

    monkeypatch.setattr(density, "Doctor", Recorder)
    settings = replace(
        settings,
        loss=LossSettings(raw_loss=True),
        schedule=replace(settings.schedule, batch=1, max_steps=2, log_every=1),
    )
    command.run_training(settings, tmp_path / "run")
    assert fed[0] == (2, True)
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    for (step, predicted, true, diversity), row in zip(fed[1:], log.itertuples(), strict=True):
        assert step == row.step
        assert predicted.shape == true.shape == (2,)
        assert predicted.sum() == pytest.approx(row.pred_mass, rel=1e-4)
        assert true.sum() == pytest.approx(row.true_mass, rel=1e-4)
        assert math.isnan(diversity)  # a batch of one clip
        assert row.doctor == "said"
    # The second row's mass ratio remembers the first row.
    (_, *first, _), (_, *second, _) = fed[1:]
    left = math.exp(-1 / density.RATIO_STEPS)
    predicted, true = (left * before + now for before, now in zip(first, second, strict=True))
    assert log.mass_ratio_0[1] == pytest.approx(predicted[0] / true[0], rel=1e-4)
    assert log.mass_ratio_1[1] == pytest.approx(predicted[1] / true[1], rel=1e-4)


def test_the_mass_ratio_looks_back_beyond_its_row():
    first = {"pred_recent": torch.tensor([8.0]), "true_recent": torch.tensor([10.0]), "loss": 1.0}
    kept = density._fade(first, density.RATIO_STEPS)
    assert set(kept) == {"pred_recent", "true_recent"}
    assert float(kept["pred_recent"] / first["pred_recent"]) == pytest.approx(1 / math.e)
    assert density._fade({"loss": 1.0}, 5) == {}


def test_raw_loss_is_the_net_of_2019(settings, tmp_path):
    settings = replace(settings, loss=LossSettings(raw_loss=True, labelrate=50.0))
    command.run_training(settings, tmp_path / "run")
    weights, notes = load_weights(tmp_path / "run" / "weights.safetensors")
    assert weights["heads.maps.density.unit"].item() == pytest.approx(1 / 50)
    assert json.loads(notes["settings"])["activation"] == "relu"


def test_an_earlier_run_starts_another(settings, stopped, tmp_path):
    """Fine-tuning: the unit of the density comes along, not the new data's."""
    earlier = stopped / "weights.safetensors"
    unit = load_weights(earlier)[0]["heads.maps.density.unit"]
    schedule = replace(settings.schedule, max_steps=1)
    labels = replace(settings.augment, scale=(2.0, 2.0))
    tuned = replace(settings, weights=str(earlier), augment=labels, schedule=schedule)
    command.run_training(tuned, tmp_path / "tuned")
    found = load_weights(tmp_path / "tuned" / "weights.safetensors")[0]["heads.maps.density.unit"]
    assert torch.equal(found, unit)
