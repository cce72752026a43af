"""Training in processes of their own: Ctrl-C, and several that train one net."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import train as command
from nets.checkpoint import read_checkpoint
from nets.recipe import load_recipe, recipe_text

START_S = 120  # a process and its loader import torch; on a busy machine that takes a while


def environment():
    cores = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return os.environ | cores | {"PYTHONPATH": str(Path(command.__file__).parent)}


def test_ctrl_c_saves_and_exits_130(settings, tmp_path):
    """As a terminal sends it: to the training and to its loader process."""
    run = tmp_path / "run"
    schedule = replace(settings.schedule, max_steps=10**6, workers=1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(replace(settings, schedule=schedule)))
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
    config = load_recipe(run / "config.yaml")
    assert read_checkpoint(run / "checkpoint.pt", recipe_text(config))


RANK_SCRIPT = """
import sys, torch
from pathlib import Path
from nets import density_run
from nets.ranks import rank
from nets.recipe import load_recipe
if __name__ == "__main__":
    nets = []
    plain = density_run.build_net
    density_run.build_net = lambda settings: nets.append(plain(settings)) or nets[0]
    recipe, out = map(Path, sys.argv[1:])
    density_run.run_training(load_recipe(recipe), out)
    assert not torch.distributed.is_initialized()
    torch.save(nets[0].state_dict(), out.parent / f"rank{rank()}.pt")
"""


LATE_SCRIPT = """
import math, sys, torch
from pathlib import Path
from torch import nn
from nets.ranks import rank
from nets.schedule import ScheduleSettings
from nets.training import Job, train

torch.manual_seed(0)
net = nn.Module()
net.trunk = nn.Module()
net.trunk.stages = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
net.head = nn.Linear(2, 1)
net.forward = lambda x: net.head(net.trunk.stages[1](net.trunk.stages[0](x)))
seen = []

def loss(model, batch):
    seen.append({name: value.clone() for name, value in net.state_dict().items()})
    return model(batch[0]).square().mean(), {}

def batches(first):
    for number in range(first, 100):
        yield (torch.randn(8, 2, generator=torch.Generator().manual_seed(10 * number + rank())),)

quiet = dict(
    batches=batches, row=lambda sums, steps: {"loss": 0.0}, carry=lambda sums, steps: {},
    save=lambda weights: None, watch=lambda *row: [], draw=lambda: None,
    validate=lambda net: math.nan,
)
settings = ScheduleSettings(
    max_steps=6, device="cpu", amp="off", freeze=1, unfreeze_step=2, sgd_from=4, warmup_steps=0
)
train(Job(net=net, loss=loss, **quiet), settings, Path("run"), config="{}", resume=False)
torch.save(seen, f"seen{rank()}.pt")
"""


def torchrun(folder, script, *arguments):
    """Run a script in two processes and return what they said on stderr."""
    (folder / "script.py").write_text(script)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    finished = subprocess.run(
        [*launcher, "script.py", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return finished.stderr


@pytest.mark.slow
def test_stages_that_thaw_stay_the_same_in_all_processes(tmp_path):
    """Each process sees other batches: only shared gradients keep the weights together."""
    torchrun(tmp_path, LATE_SCRIPT)
    first, second = (torch.load(tmp_path / f"seen{rank}.pt") for rank in (0, 1))
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    trunk = [weights["trunk.stages.0.weight"] for weights in first]
    moved = [not torch.equal(a, b) for a, b in zip(trunk, trunk[1:], strict=False)]
    assert moved == [False, False, True, True, True]


def test_two_processes_train_one_net(workers, settings, tmp_path):
    schedule = replace(settings.schedule, max_steps=3, workers=workers, log_every=1)
    (tmp_path / "recipe.yaml").write_text(recipe_text(replace(settings, schedule=schedule)))
    said = torchrun(tmp_path, RANK_SCRIPT, "recipe.yaml", "run")
    states = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    for name, value in states[0].items():
        if "running" not in name and "num_batches" not in name:  # statistics are rank 0's
            assert torch.equal(value, states[1][name]), name
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt")
    assert torch.equal(checkpoint["net"]["trunk.mean"], states[0]["trunk.mean"])
    assert pd.read_csv(tmp_path / "run" / "log.csv").step.tolist() == [1, 2, 3]
    assert said.count("start: random weights") == 1
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
