import dataclasses
import re

import numpy as np
import pytest

from mot.errors import InputError
from nets.doctor import (
    EXPLODING,
    PATIENCE_STEPS,
    WELL_ROWS,
    Doctor,
)

TRUE = np.array([100.0, 110.0, 90.0])


def run(doctor, rows, first=0, every=10):
    """Feed rows (dicts over a healthy one); return (step, sentence) pairs."""
    said = []
    for number, row in enumerate(rows):
        step = first + number * every
        # Truths that vary between rows, and a loss that falls, as in a healthy run.
        scale = 1 + 0.1 * np.sin(number)
        healthy = {
            "pred_mass": TRUE * scale,
            "true_mass": TRUE * scale,
            "diversity": 1.0,
            "grad_norm": 2.0 + np.cos(number),
            "loss": 1.0 / (1 + number),
        }
        said += [(step, text) for text in doctor.update(step, **(healthy | row))]
    return said


def only(said):
    assert len(said) == 1, said
    return said[0]


def test_a_healthy_run_is_silent():
    assert run(Doctor(3), [{}] * 200) == []


def test_a_dead_channel_is_named_once_with_a_flag():
    dead = {"pred_mass": TRUE * [1, 0, 1], "true_mass": TRUE}
    step, text = only(run(Doctor(3), [{}] * 5 + [dead] * 30))
    assert step == 50 + PATIENCE_STEPS["dead"]
    assert "channel 2 of 3 is dead" in text and "--lr" in text


def test_the_dead_channel_of_a_raw_loss_names_raw_loss():
    dead = {"pred_mass": TRUE * [1, 0, 1]}
    assert "leave out --raw-loss" in only(run(Doctor(3, raw_loss=True), [dead] * 10))[1]


def test_a_frame_without_people_is_not_dead():
    rows = [{"pred_mass": TRUE * [1, 1, 0], "true_mass": TRUE * [1, 1, 0]}] * 20
    assert run(Doctor(3), rows) == []


def test_no_people_at_all_say_nothing():
    assert run(Doctor(3), [{"true_mass": np.zeros(3), "diversity": 0.0}] * 40) == []


def test_all_dead_is_a_collapse_and_nothing_else():
    rows = [{"pred_mass": TRUE * 0.001}] * 20
    assert "collapsed" in only(run(Doctor(3), rows))[1]


@pytest.mark.parametrize("factor, side", [(0.07, "0.07"), (40.0, "40")])
def test_mass_far_from_one(factor, side):
    rows = [{"pred_mass": TRUE * factor, "true_mass": TRUE}] * 20
    text = only(run(Doctor(3), rows))[1]
    assert f"mass ratio is {side}, far from 1" in text


def test_a_short_trouble_is_forgiven():
    low = {"pred_mass": TRUE * 0.07}
    assert run(Doctor(3), [low, low, low, {}] * 10) == []


def test_a_symptom_is_said_again_only_after_recovery():
    dead = {"pred_mass": TRUE * [1, 0, 1]}
    flicker = [dead] * 8 + [{}] * (WELL_ROWS - 1)
    assert len(run(Doctor(3), flicker * 5)) == 1
    recovered = [dead] * 8 + [{}] * WELL_ROWS
    assert len(run(Doctor(3), recovered * 5)) == 5


def test_same_answer_for_every_input():
    text = only(run(Doctor(3), [{"diversity": 0.001}] * 20))[1]
    assert "same answer" in text and "--norm batch" in text


def test_unknown_diversity_is_not_judged():
    assert run(Doctor(3), [{"diversity": float("nan")}] * 40) == []


@pytest.mark.parametrize(
    "row, word",
    [
        ({"loss": float("nan")}, "loss is not finite"),
        ({"pred_mass": TRUE * np.inf}, "prediction is not finite"),
        ({"grad_norm": float("inf")}, "gradient is not finite"),
    ],
)
def test_what_is_not_finite_is_said_at_once(row, word):
    step, text = only(run(Doctor(3), [{}, row, row]))
    assert step == 10 and word in text and "--lr" in text


def test_exploding_gradient():
    rows = [{}] * 20 + [{"grad_norm": 3 * EXPLODING}] * 10
    step, text = only(run(Doctor(3), rows))
    assert step == 200 + PATIENCE_STEPS["exploding"]
    assert "--clip-grad" in text


def test_one_spike_of_the_gradient_is_clipped_and_forgotten():
    assert run(Doctor(3), [{}] * 20 + [{"grad_norm": 1e6}] + [{}] * 20) == []


def test_a_loss_that_rises_again():
    rows = [{"loss": 1.0}] * 10 + [{"loss": 0.1}] * 10 + [{"loss": 0.9}] * 20
    assert "the loss rises" in only(run(Doctor(3), rows))[1]


def test_a_loss_that_never_falls():
    step, text = only(run(Doctor(3), [{"loss": 1.0}] * 80))
    assert "has not fallen" in text
    assert step >= PATIENCE_STEPS["not falling"]


def test_a_resumed_run_may_stay_where_it_is():
    assert run(Doctor(3), [{"loss": 1.0}] * 80, first=5000) == []


def test_masses_of_another_length_are_refused():
    with pytest.raises(InputError, match="pred_mass: expected 3 masses"):
        Doctor(3).update(0, [1.0], TRUE, 1.0, 1.0, 1.0)


def test_every_flag_it_names_exists():
    recipe = pytest.importorskip("nets.recipe")
    losses = pytest.importorskip("nets.losses")
    settings = pytest.importorskip("nets.settings")
    training = pytest.importorskip("nets.training")
    groups = (
        recipe.TrainSettings,
        losses.LossSettings,
        settings.NetSettings,
        training.ScheduleSettings,
    )
    known = {field.name for group in groups for field in dataclasses.fields(group)}
    bad = {"pred_mass": TRUE * 40, "diversity": 0.0, "loss": 1.0}
    sick = [
        [{"pred_mass": TRUE * [1, 0, 1]}] * 10,
        [{"pred_mass": TRUE * 0}] * 10,
        [bad] * 80,
        [{}] * 20 + [{"grad_norm": 1e5}] * 10,
        [{"loss": float("nan")}, {"grad_norm": float("nan")}],
        [{"loss": 0.1}] * 20 + [{"loss": 1.0}] * 20,
    ]
    text = " ".join(
        said
        for raw in (False, True)
        for rows in sick
        for _, said in run(Doctor(3, raw_loss=raw), rows)
    )
    flags = set(re.findall(r"--([a-z-]+)", text))
    assert len(flags) >= 5
    assert {flag.replace("-", "_") for flag in flags} <= known
