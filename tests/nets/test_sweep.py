"""Sweeps: what is varied, one row a training, stopped and gone on with, refused in one line."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mot.errors import InputError, one_line_errors
from mot.parallel import ParallelSettings
from nets import sweep, sweep_table, trial
from nets.grid import Grid, parse_values, read_grid, settings_of, value_text
from nets.recipe import TrainSettings
from nets.verdict import VERDICTS
from tests.conftest import complaint

RECIPES = Path(sweep.__file__).parent.parent / "recipes"
FAST = (
    *("max_steps=2", "batch=2", "log_every=1", "crop=32+64", "width=0.125", "neck_channels=8"),
    *("frames=2", "checkpoint_minutes=9"),
)


@pytest.fixture
def flags(make_scene, tmp_path, monkeypatch):
    """Two learning rates × two seeds of a tiny training that takes a second."""
    make_scene("street")
    make_scene("square")
    monkeypatch.setattr("nets.density_job.draw_curves", lambda log, picture: None)
    places = (f"data={tmp_path}", "train_seqs=street", "val_seqs=square", f"cache={tmp_path}/c")
    return sweep.SweepFlags(
        axes=("lr=1e-3,1e-2",), set=(*FAST, *places), seeds=(1, 2), out=tmp_path / "sweep"
    )


def rows(out):
    with (out / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        one_line_errors(sweep.main)(arguments)
    assert caught.value.code == 2
    return complaint(capsys)


def test_every_training_has_a_row_with_what_it_came_to(flags):
    table = sweep.run_sweep(flags)
    found = rows(table.parent)
    assert [(row["lr"], row["seed"]) for row in found] == [
        ("0.001", "1"), ("0.001", "2"), ("0.01", "1"), ("0.01", "2"),
    ]  # fmt: skip
    for row in found:
        assert row["verdict"] in VERDICTS
        assert row["steps"] == "2"
        assert 0 <= float(row["f1"]) <= 1
        assert float(row["seconds"]) > 0
        left = sorted(path.name for path in (flags.out / "runs" / row["run"]).iterdir())
        assert left == ["config.yaml", "held-out.npz", "log.csv", "output.txt"]
    assert len({row["final_loss"] for row in found}) == 4


def test_a_stopped_sweep_goes_on_and_writes_no_row_twice(flags):
    sweep.run_sweep(replace(flags, at_most=1))
    first = rows(flags.out)
    assert len(first) == 1
    sweep.run_sweep(flags)
    whole = rows(flags.out)
    assert whole[0] == first[0]
    assert len({row["run"] for row in whole}) == len(whole) == 4
    before = (flags.out / "sweep.csv").read_bytes()
    sweep.run_sweep(flags)
    assert (flags.out / "sweep.csv").read_bytes() == before
    sweep.run_sweep(replace(flags, axes=("lr=1e-3,1e-2,1e-1",), seeds=(1,)))
    assert len(rows(flags.out)) == 5


@pytest.mark.slow  # workers import torch anew
def test_the_same_sweep_gives_the_same_rows_in_processes(flags, tmp_path):
    sweep.run_sweep(replace(flags, seeds=(1,)))
    other = replace(flags, seeds=(1,), out=tmp_path / "b", parallel=ParallelSettings(workers=2))
    sweep.run_sweep(other)

    def measured(out):
        return {row["run"]: {**row, "seconds": ""} for row in rows(out)}

    assert measured(flags.out) == measured(tmp_path / "b")


@pytest.mark.slow  # workers import torch anew
def test_a_killed_sweep_resumes(flags, tmp_path):
    """SIGKILL while a training is under way: its half-written folder is made anew."""
    words = ["--axes", *flags.axes, "--set", *flags.set, "--seeds", "1", "2", "--out"]
    command = [sys.executable, "-m", "nets.sweep", *words, str(flags.out), "--workers", "2"]
    root = str(RECIPES.parent)
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 240
    while not (flags.out / "sweep.csv").is_file() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = rows(flags.out)
    assert 1 <= len(done)
    sweep.run_sweep(flags)
    whole = rows(flags.out)
    assert whole[: len(done)] == done
    assert len({row["run"] for row in whole}) == len(whole) == 4


def test_a_loss_that_is_not_finite_is_a_finding(flags, monkeypatch):
    def total_loss(*arguments):
        loss, parts = real(*arguments)
        return loss * math.nan, parts

    real = trial.run_training.__globals__["density_job"].__globals__["total_loss"]
    monkeypatch.setattr("nets.density_job.total_loss", total_loss)
    sweep.run_sweep(replace(flags, at_most=1))
    [row] = rows(flags.out)
    assert (row["verdict"], row["steps"]) == ("diverges", "0")


def test_what_cannot_be_trained_is_named_when_the_rest_is_done(flags, monkeypatch):
    def fails_once(task):
        if task.settings.schedule.lr == 1e-3:
            raise InputError("disk", "room", "none", "make some")
        return trial.run_trial(task)

    monkeypatch.setattr(sweep, "run_trial", fails_once)
    with pytest.raises(InputError, match=r"1 of 2 failed: .*lr.*0\.001.*disk"):
        sweep.run_sweep(replace(flags, seeds=(1,)))
    assert [row["lr"] for row in rows(flags.out)] == ["0.01"]


def test_other_settings_in_a_folder_are_refused(flags):
    sweep.run_sweep(replace(flags, at_most=1))
    for change in (
        {"set": (*flags.set, "labelrate=5")},
        {"axes": ("lr=1e-3", "label=half")},
        {"raw_loss": True},
    ):
        with pytest.raises(InputError, match="use another --out"):
            sweep.run_sweep(replace(flags, **change))
    assert len(rows(flags.out)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--axes", "lr"], "--axes: expected NAME=VALUE"),
        (["--axes", "rate=1"], "--axes: expected a setting of train.py, got rate"),
        (["--axes", "lr=1,2", "lr=3"], "--axes: expected each setting once"),
        (["--axes", "lr=1e-3,0.001"], "expected values, each once"),
        (["--axes", "lr=fast"], "lr fast: schedule: lr: expected a number"),
        (["--axes", "loss=huber"], "expected some of mse, l1"),
        (["--axes", "backbone=alexnet"], "--backbone: expected one of vgg16"),
        (["--axes", "freeze=1"], "expected weights worth freezing"),
        (["--axes", "seed=1,2"], "use --seeds"),
        (["--set", "lr=1,2"], "--set: expected one value"),
        (["--seeds", "-1"], "--seeds: expected numbers of 0 or more"),
        (["--set", "train_seqs=nowhere"], "nowhere"),
        (["--config", "none.yaml"], "none.yaml: expected a sweep (YAML), got no such file"),
        (["--workers", "0"], "--workers: expected 1 or more"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_trained(arguments, words, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert words in refused([*arguments, *out], capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("axes: [lr]", "expected settings as `name: value` lines"),
        ("axes: {lr: 1e-3}", "axes: lr: expected a list"),
        ("axes: {rate: [1]}", "expected a setting of train.py, got rate"),
        ("grid: {}", "expected some of settings, axes, variants, seeds, got grid"),
        ("seeds: 3", "seeds: expected a list of whole numbers"),
        ("variants: {a: {net: {depth: 3}}}", "expected a setting of train.py, got net.depth"),
        ("axes: {lr: [", "expected YAML"),
        (
            "axes: {lr: [1]}\nvariants: {a: {lr: 2}}",
            "a: expected settings that no axis varies",
        ),
        ("variants: {a: {seed: 7}}", "schedule.seed: expected seeds beside the axes and variants"),
    ],
)
def test_sweep_files_that_cannot_be_used(text, words, tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_grid(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("sweep-*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_of_the_recipes_can_be_built(path):
    cells = list(read_grid(path).cells())
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.names["seed"] for cell in cells} >= {"1", "2", "3"}


def test_values_are_read_as_they_are_meant():
    words = ["lr=1e-3,1e+3", "loss=mse+count,l1", "crop=96+160", "raw_loss=true", "weights=none"]
    assert parse_values(words, "--axes") == {
        "schedule.lr": ("1e-3", "1e+3"),
        "loss.loss": (["mse", "count"], "l1"),
        "augment.crop": ([96, 160],),
        "loss.raw_loss": (True,),
        "weights": ("none",),
    }
    assert [value_text(v) for v in ("1e-3", 0.001, 5000, True, ["mse", "count"], "none")] == [
        *("0.001", "0.001", "5000", "yes", "mse+count", "none")
    ]


def test_settings_that_a_grid_does_not_name_are_small_or_those_of_train():
    settings = settings_of({"loss.loss": "l1", "schedule.lr": "1e-2"}, "here")
    assert settings.loss.loss == ("l1",)
    assert settings.schedule.lr == 0.01
    assert settings.net.heads == ("density",)
    assert settings.net.backbone == TrainSettings().net.backbone


def test_the_flag_of_2019_says_what_its_recipe_says():
    by_flag = sweep.grid_of(sweep.SweepFlags(raw_loss=True))
    by_file = read_grid(RECIPES / "sweep-2019.yaml")
    assert by_flag.shared == by_file.shared


def test_keys_tell_settings_apart_and_not_caches():
    def key(**shared):
        return next(Grid(shared).cells()).key

    assert key(**{"data.cache": "a"}) == key(**{"data.cache": "b"})
    assert key(**{"schedule.lr": 1}) != key(**{"schedule.lr": 2})


@pytest.fixture
def table(tmp_path):
    """A sweep's table: two rates × two losses × two seeds, made up."""
    measures = "steps,mass_ratio,worst,mean,dead,final_loss,skill,f1,seconds"
    lines = [f"run,loss,lr,seed,verdict,{measures}"]
    said = ["converges", "falls", "stalls", "stalls", "collapses", "collapses", "diverges", "falls"]
    for number, verdict in enumerate(said):
        loss, lr, seed = ("mse", "l1")[number // 4], (0.1, 0.2)[number // 2 % 2], number % 2 + 1
        lines.append(f"k{number},{loss},{lr},{seed},{verdict},9,1,0,0,{number},1,0.5,0.{number},30")
    (tmp_path / "sweep.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "sweep.csv"


def test_the_table_in_markdown(table):
    assert sweep_table.show(sweep_table.TableFlags(table=table)).splitlines() == [
        "| loss | lr 0.1 | lr 0.2 |",
        "| --- | --- | --- |",
        "| mse | converges 1, falls 1, 0.05 | stalls, 0.25 |",
        "| l1 | collapses, 0.45 | diverges 1, falls 1, 0.65 |",
    ]
    across = sweep_table.show(sweep_table.TableFlags(table=table, across="loss"))
    assert across.splitlines()[2] == "| 0.1 | converges 1, falls 1, 0.05 | collapses, 0.45 |"
    listed = sweep_table.list_table(sweep_table.read_sweep(table))
    row = "| mse | 0.2 | stalls | 1 | 2.5 | 0.25 (0.20 to 0.30) | 0.50 | 30 |"
    assert row in listed.splitlines()


def test_flags_win_over_the_file_but_for_what_a_variant_names(tmp_path):
    file = tmp_path / "sweep.yaml"
    text = "settings: {max_steps: 9, clip_grad: 7}\nvariants: {plain: {}, free: {clip_grad: 0}}"
    file.write_text(text)
    flags = sweep.SweepFlags(config=str(file), set=("max_steps=2", "clip_grad=1"))
    schedules = [cell.settings.schedule for cell in sweep.grid_of(flags).cells()]
    assert [(s.max_steps, s.clip_grad) for s in schedules] == [(2, 1), (2, 0)]


def test_pictures_of_a_sweep(flags, tmp_path):
    from PIL import Image

    sweep.run_sweep(replace(flags, seeds=(1,)))
    pictures = tmp_path / "pictures"
    sweep_table.show(sweep_table.TableFlags(table=flags.out / "sweep.csv", pictures=pictures))
    assert sorted(path.name for path in pictures.iterdir()) == [
        *("by-frame.png", "density.png", "in-time.png", "table.png")
    ]
    for path in pictures.iterdir():
        assert min(Image.open(path).size) > 50


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "got no such file"),
        ("a,b\n1,2\n", "expected the table of a sweep"),
        ("", "expected the table of a sweep"),
    ],
)
def test_tables_that_are_none(content, words, tmp_path):
    path = tmp_path / "sweep.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        sweep_table.read_sweep(path)
    assert words in str(caught.value)


def test_a_setting_that_is_not_varied_cannot_stand_across(table):
    with pytest.raises(InputError, match="--across: expected one of loss, lr, got label"):
        sweep_table.show(sweep_table.TableFlags(table=table, across="label"))


def test_two_sweeps_do_not_share_a_folder(flags):
    fcntl = pytest.importorskip("fcntl")
    flags.out.mkdir()
    with (flags.out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another sweep at work"):
            sweep.run_sweep(flags)
    sweep.run_sweep(replace(flags, at_most=1))
