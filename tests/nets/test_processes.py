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
import torch

import train as command

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
