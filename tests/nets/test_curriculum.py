"""Stages of labels over the steps of a training."""

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from mot.errors import InputError
from nets.curriculum import label_at
from nets.density_run import run_training
from nets.held_out import held_out_clips, measure
from nets.losses import LossSettings
from nets.menu import build_net
from nets.predict import load_net
from nets.recipe import TrainSettings

STAGES = ("quadratic", "half", "point")


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr("nets.density_job.draw_curves", lambda log, picture: None)


def labels(steps, **settings):
    return [label_at(n, steps=steps, settings=LossSettings(**settings)) for n in range(steps)]


def test_without_a_curriculum_the_label_stays():
    assert set(labels(9, label="box")) == {"box"}


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 300])
@pytest.mark.parametrize("shares", [(), (1, 1, 1), (5, 3, 2), (0.1, 0.1, 0.8)])
def test_stages_follow_each_other_for_their_shares_of_the_steps(steps, shares):
    found = labels(steps, curriculum=STAGES, curriculum_shares=shares)
    assert found == sorted(found, key=STAGES.index)
    assert len(found) == steps
    parts = shares or (1, 1, 1)
    for stage, part in zip(STAGES, parts, strict=True):
        assert abs(Counter(found)[stage] - steps * part / sum(parts)) <= 1


def test_the_last_label_is_what_the_net_is_to_give():
    assert LossSettings(label="box").last_label == "box"
    assert LossSettings(label="box", curriculum=STAGES).last_label == "point"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"curriculum": ("large", "half")}, "--curriculum: expected some of quadratic"),
        ({"curriculum": ("centre",)}, "--curriculum: expected some of"),
        ({"curriculum": STAGES, "curriculum_shares": (1, 1)}, "--curriculum-shares: expected"),
        ({"curriculum": STAGES, "curriculum_shares": (1, 0, 1)}, "--curriculum-shares: expected"),
        ({"curriculum_shares": (1,)}, "--curriculum-shares: expected"),
        ({"target": "mask"}, "--target: expected density or seg"),
        ({"label_smoothing": 1.0}, "--label-smoothing: expected"),
        ({"positive_weight": 0.0}, "--positive-weight: expected above 0"),
    ],
)
def test_settings_that_cannot_be_used(settings, words):
    with pytest.raises(InputError) as caught:
        LossSettings(**settings)
    assert words in str(caught.value)


def test_a_training_goes_through_its_stages(settings, tmp_path, monkeypatch):
    asked = []

    def noted(step, **others):
        asked.append((step, label_at(step, **others)))
        return asked[-1][1]

    monkeypatch.setattr("nets.density_run.label_at", noted)
    loss = LossSettings(curriculum=("quadratic", "point"))
    run_training(replace(settings, loss=loss), tmp_path / "run")
    assert dict(asked) == {n: "quadratic" if n < 3 else "point" for n in range(6)}


def test_a_net_that_paints_the_mask_of_the_boxes(settings, tmp_path):
    """--target seg: a mask head in the place of the density, watched by the cells that it fills."""
    settings = TrainSettings(
        settings.data, settings.net, settings.augment, LossSettings(target="seg"), settings.schedule
    )
    assert settings.net.heads == ("seg", "centre", "box")
    run_training(settings, tmp_path / "run")
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert {"seg_loss", "mass_ratio_0", "mass_ratio_1"} <= set(log)
    net = load_net(tmp_path / "run" / "weights.safetensors").net
    assert 0 <= measure(net, held_out_clips(settings)).f1 <= 1


def test_patches_of_a_mask_are_people(settings):
    import numpy as np

    from nets.held_out import found_people

    logits = np.full((1, 8, 10), -3.0, np.float32)
    logits[0, 1:4, 2], logits[0, 5:7, 6:8] = 3, 3
    found = found_people({"seg": logits}, stride=4)
    assert sorted(found.tolist()) == [[10.0, 10.0], [28.0, 24.0]]
    assert len(found_people({"seg": np.full((1, 8, 10), -3.0, np.float32)}, stride=4)) == 0
    assert build_net(replace(settings.net, heads=("seg",))).density_head is None
