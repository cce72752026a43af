"""benchmarks.unseen: a net per place that has not seen it, and one table of all."""

import json
from pathlib import Path

import pytest
import yaml

from benchmarks import unseen
from mot.errors import InputError
from nets.recipe import load_recipe

RECIPE = {
    "net": {"width": 0.125, "neck_channels": 8, "frames": 1, "fuse": "none"},
    "augment": {"crop": [32, 64]},
    "schedule": {"batch": 2, "workers": 0, "max_steps": 2, "log_every": 1, "device": "cpu"},
}


@pytest.fixture
def recipe(make_scene, tmp_path):
    for name in ("A-1", "A-2", "B-1"):
        make_scene(name)
    data = {"cache": str(tmp_path / "cache"), "train_seqs": ["A-1", "A-2", "B-1"]}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"data": data}))
    return path


def test_what_begins_with_the_place_is_left_out(recipe):
    settings = load_recipe(recipe)
    assert unseen.without(settings, "A").data.train_seqs == ("B-1",)
    assert unseen.without(settings, "B").data.train_seqs == ("A-1", "A-2")
    with pytest.raises(InputError, match="train_seqs beside"):
        unseen.without(settings, "")


def test_each_place_is_scored_by_a_net_that_has_not_seen_it(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nets.density_job.draw_curves", lambda log, picture: None)
    monkeypatch.setattr("nets.calibrate.LEAST_DETECTIONS", 1)
    out = tmp_path / "out"
    call = [
        "--recipe",
        str(recipe),
        "--truth",
        str(tmp_path),
        "--data",
        str(tmp_path),
        "--places",
        "A",
        "B",
    ]
    call += ["--min-score", "0", "--test-px", "4096", "--backend", "torch", "--amp", "off"]
    unseen.main([*call, "--out", str(out), "--seed", "3"])
    for place, seen in (("A", ("B-1",)), ("B", ("A-1", "A-2"))):
        settings = load_recipe(out / place / "train" / "config.yaml")
        assert settings.data.train_seqs == seen and settings.schedule.seed == 3
    scored = json.loads((out / "scores.json").read_text())
    assert {"A-1", "A-2", "B-1"} <= set(scored)
    assert "mean over sequences" in capsys.readouterr().out
    made = Path(out / "A" / "net.safetensors").stat().st_mtime_ns
    unseen.main([*call, "--out", str(out), "--seed", "3"])  # finds all done
    assert Path(out / "A" / "net.safetensors").stat().st_mtime_ns == made
