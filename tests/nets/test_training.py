"""The loop, on a net of one layer where the loop is tested and on a tiny density net elsewhere."""

import csv
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import train as command
from mot.errors import InputError
from nets import density_job as density
from nets import training
from nets.augment import AugmentSettings
from nets.losses import LossSettings
from nets.recipe import DataSettings, TrainSettings
from nets.schedule import OPTIMISERS, ScheduleSettings, build_optimiser, lr_share
from nets.settings import NetSettings
from nets.training import Job, choose_device, train, use_bf16
from nets.weights import load_weights

CPU = {"device": "cpu", "amp": "off"}
# Each loader process imports torch anew, which takes seconds.
WITH_LOADERS = pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])


# --- the loop, on a linear net -------------------------------------------------------------------


class Line(nn.Module):
    """y = a x + b, with a trunk of two stages so that freezing has something to hold."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Module()
        self.trunk.stages = nn.ModuleList([nn.BatchNorm1d(2), nn.Linear(2, 2)])
        self.head = nn.Linear(2, 1)

    def forward(self, x):
        for stage in self.trunk.stages:
            x = stage(x)
        return self.head(x)


def line_batch(number):
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(number))
    return x, x.sum(dim=1, keepdim=True) + 1


def line_job(**changes):
    torch.manual_seed(0)

    def loss(model, batch):
        value = nn.functional.mse_loss(model(batch[0]), batch[1])
        return value, {"fit_loss": float(value.detach())}

    values = {
        "net": Line(),
        "batches": lambda first: (line_batch(n) for n in range(first, 10**6)),
        "loss": loss,
        "row": lambda sums, steps: {name: value / steps for name, value in sums.items()},
        "save": lambda weights: None,
        "watch": lambda step, sums, row: [],
        "draw": lambda: None,
        "validate": lambda net: math.nan,
    }
    return Job(**(values | changes))


def schedule(**changes):
    return ScheduleSettings(**({"max_steps": 6, "log_every": 1, "lr": 0.05, **CPU} | changes))


def run_line(run, job=None, **changes):
    job = line_job() if job is None else job
    train(job, schedule(**changes), run, config="{}", resume=False)
    return pd.read_csv(run / "log.csv")


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns(name, tmp_path):
    log = run_line(tmp_path, optimiser=name, max_steps=40, warmup_steps=3)
    assert log.loss.iloc[-5:].mean() < 0.5 * log.loss.iloc[:3].mean()


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine(tmp_path):
    settings = schedule(max_steps=20, warmup_steps=4)
    shares = [lr_share(step, settings) for step in range(21)]
    assert shares[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert shares[12] == pytest.approx((1 + 0.01) / 2)
    assert shares[20] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in zip(shares[4:], shares[5:], strict=False))
    log = run_line(tmp_path, max_steps=20, warmup_steps=4)
    assert log.lr.tolist() == pytest.approx([0.05 * share for share in shares[:20]], rel=1e-4)


def test_the_trunk_has_its_own_rate_and_norms_do_not_decay():
    net = Line()
    optimiser = build_optimiser(net, schedule(trunk_lr_share=0.1, weight_decay=0.3))
    told = {
        id(parameter): (group["peak_lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    assert told[id(net.trunk.stages[1].weight)] == pytest.approx((0.005, 0.3))
    assert told[id(net.trunk.stages[0].weight)] == pytest.approx((0.005, 0.0))
    assert told[id(net.head.weight)] == pytest.approx((0.05, 0.3))
    assert told[id(net.head.bias)] == pytest.approx((0.05, 0.0))


def test_frozen_stages_keep_weights_and_statistics(tmp_path):
    job = line_job()
    before = {name: value.clone() for name, value in job.net.state_dict().items()}
    run_line(tmp_path, job, freeze=1)
    after = job.net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        "trunk.stages.1.weight",
        "trunk.stages.1.bias",
        "head.weight",
        "head.bias",
    }
    with pytest.raises(InputError, match="--freeze: expected at most 2 stages, got 3"):
        run_line(tmp_path / "more", freeze=3)


def test_the_running_mean_is_saved(tmp_path):
    """Its decay is min(ema, (1 + n) / (10 + n)) after n updates; the first copies the net."""
    seen, saved = [], []
    job = line_job(save=lambda weights: saved.append({k: v.clone() for k, v in weights.items()}))
    plain = job.loss
    net = job.net
    job = replace(
        job, loss=lambda m, b: (seen.append(net.head.weight.detach().clone()), plain(m, b))[1]
    )
    run_line(tmp_path, job, max_steps=5, ema=0.3)
    steps = [*seen[1:], net.head.weight.detach()]
    mean = steps[0]
    for number, weight in enumerate(steps[1:], start=1):
        decay = min(0.3, (1 + number) / (10 + number))
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(saved[-1]["head.weight"], mean)
    job = line_job(save=lambda weights: saved.append(dict(weights)))
    run_line(tmp_path / "off", job, ema=0.0)
    assert torch.equal(saved[-1]["head.weight"], job.net.head.weight)


def test_gradients_are_clipped(tmp_path):
    job = line_job()
    start = job.net.head.weight.detach().clone()
    options = {"optimiser": "sgd", "max_steps": 1, "warmup_steps": 0, "lr": 1.0}
    log = run_line(tmp_path, job, clip_grad=1e-3, **options)
    assert log.grad_norm[0] > 0.1
    assert (job.net.head.weight - start).norm() < 2.1e-3  # nesterov: 1 + 0.9 times the gradient
    job = line_job()
    run_line(tmp_path / "off", job, clip_grad=0.0, **options)
    assert (job.net.head.weight - start).norm() > 0.1


def test_rows_are_means_over_their_steps(tmp_path):
    each = run_line(tmp_path / "each")
    rows = run_line(tmp_path / "rows", log_every=4)
    assert rows.step.tolist() == [4, 6]
    assert rows.loss[0] == pytest.approx(each.loss[:4].mean(), rel=1e-4)
    assert rows.loss[1] == pytest.approx(each.loss[4:].mean(), rel=1e-4)


def test_validation_comes_when_it_is_due_and_at_the_end(tmp_path):
    log = run_line(
        tmp_path, line_job(validate=lambda net: 7.0), max_steps=9, val_every=4, log_every=2
    )
    assert log.step[log.val_loss == 7].tolist() == [4, 8, 9]
    assert log.val_loss.isna().sum() == 2


def test_the_doctors_words_stand_in_the_log(tmp_path, capsys):
    job = line_job(watch=lambda step, sums, row: ["channel 3 is dead, 0.0; a, b"][: step == 2])
    log = run_line(tmp_path, job, max_steps=3)
    assert log.doctor.fillna("").tolist() == ["", "channel 3 is dead, 0.0; a, b", ""]
    assert "doctor: step 2: channel 3 is dead" in capsys.readouterr().err


def test_checkpoints_are_written_every_so_many_minutes(tmp_path):
    saved = []
    run_line(tmp_path, line_job(save=lambda weights: saved.append(1)), checkpoint_minutes=0.0)
    assert len(saved) == 6 + 1
    run_line(tmp_path / "rare", line_job(save=lambda weights: saved.append(1)))
    assert len(saved) == 6 + 1 + 1


def test_training_in_a_thread_needs_no_signal_handlers(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(run_line, tmp_path).result()) == 6


def test_devices_that_are_not_there_are_named():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device: expected auto, cpu or"):
        choose_device("tpu")
    assert use_bf16("on", torch.device("cpu"))
    assert not use_bf16("off", torch.device("cpu"))


# --- the whole, on a tiny density net ------------------------------------------------------------


@pytest.fixture
def settings(make_scene, tmp_path):
    make_scene("street")
    make_scene("square")
    return TrainSettings(
        data=DataSettings(
            data=str(tmp_path),
            train_seqs=("street",),
            val_seqs=("square",),
            cache=str(tmp_path / "cache"),
        ),
        net=NetSettings(width=0.125, neck_channels=8, frames=2),
        augment=AugmentSettings(crop=(32, 64)),
        schedule=ScheduleSettings(
            max_steps=6, batch=2, workers=0, log_every=2, warmup_steps=2, val_every=4, **CPU
        ),
    )


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
            os.kill(os.getpid(), signal.SIGINT)
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


@WITH_LOADERS
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


def test_an_infinite_gradient_is_not_stepped_along(tmp_path):
    job = line_job()
    plain = job.loss

    def loss(model, batch):
        value, sums = plain(model, batch)
        return value + torch.sqrt((model.head.weight * 0).abs().sum()), sums  # slope infinity at 0

    with pytest.raises(InputError, match="grad norm nan in the step after 0"):
        run_line(tmp_path, replace(job, loss=loss))
    assert all(torch.isfinite(value).all() for value in job.net.state_dict().values())


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
    lame = torch.load(stopped / "checkpoint.pt") | {"config": command.recipe_text(settings)}
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
    config.write_text(command.recipe_text(settings))
    with pytest.raises(SystemExit) as caught:
        command.main(["--config", str(config), "--out", str(tmp_path / "file" / "run")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@WITH_LOADERS
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
    batches = command.batches(*command.training_sources(data), settings, 1, 3)
    (photos / "a.png").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"a\.png"):
        next(iter(density._loader(batches, 0, workers)))


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


# --- several processes ---------------------------------------------------------------------------


START_S = 120  # a process and its loader import torch; on a busy machine that takes a while


def environment():
    cores = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return os.environ | cores | {"PYTHONPATH": str(Path(command.__file__).parent)}


def test_ctrl_c_saves_and_exits_130(settings, tmp_path):
    """As a terminal sends it: to the training and to its loader process."""
    run = tmp_path / "run"
    schedule = replace(settings.schedule, max_steps=10**6, workers=1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(command.recipe_text(replace(settings, schedule=schedule)))
    process = subprocess.Popen(
        [sys.executable, command.__file__, "--config", str(recipe), "--out", str(run)],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = run / "log.csv"
    deadline = time.monotonic() + START_S
    while not (log.is_file() and log.read_text().count("\n") > 1):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "no log row"
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "interrupted: what was written so far is kept"
    checkpoint = torch.load(run / "checkpoint.pt")
    rows = list(csv.DictReader(log.open()))
    assert checkpoint["step"] - 2 < float(rows[-1]["step"]) <= checkpoint["step"]
    assert (run / "curves.png").is_file()
    config = command.load_recipe(run / "config.yaml")
    assert command.read_checkpoint(run / "checkpoint.pt", command.recipe_text(config))


RANK_SCRIPT = """
import sys, torch
from pathlib import Path
import train
if __name__ == "__main__":
    nets = []
    plain = train.build_net
    train.build_net = lambda settings: nets.append(plain(settings)) or nets[0]
    recipe, out = map(Path, sys.argv[1:])
    train.run_training(train.load_recipe(recipe), out)
    assert not torch.distributed.is_initialized()
    torch.save(nets[0].state_dict(), out.parent / f"rank{train.rank()}.pt")
"""


@WITH_LOADERS
def test_two_processes_train_one_net(workers, settings, tmp_path):
    schedule = replace(settings.schedule, max_steps=3, workers=workers, log_every=1)
    (tmp_path / "recipe.yaml").write_text(command.recipe_text(replace(settings, schedule=schedule)))
    (tmp_path / "script.py").write_text(RANK_SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    finished = subprocess.run(
        [*torchrun, "script.py", "recipe.yaml", "run"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    states = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    for name, value in states[0].items():
        if "running" not in name and "num_batches" not in name:  # statistics are rank 0's
            assert torch.equal(value, states[1][name]), name
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt")
    assert torch.equal(checkpoint["net"]["trunk.mean"], states[0]["trunk.mean"])
    assert pd.read_csv(tmp_path / "run" / "log.csv").step.tolist() == [1, 2, 3]
    assert finished.stderr.count("start: random weights") == 1
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
