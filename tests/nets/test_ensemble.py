"""Which nets err together, against maps that are added up one by one."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from labelmaps.render import render
from mot.errors import InputError
from mot.sequence import open_sequence
from nets.ensemble import (
    EnsembleFlags,
    Products,
    greedy,
    main,
    products_of,
    run_ensemble,
    short_names,
    stacked,
)
from nets.people import people_of, within_crop
from nets.predict import FramePrediction, PredictSettings
from nets.weights import load_weights, save_weights

RNG = np.random.default_rng(3)
TRUTH = RNG.random((6, 50))  # frames by cells
NOISE = RNG.normal(size=(4, 6, 50)) * np.array([0.5, 0.5, 0.7, 2.0])[:, None, None]
MAPS = TRUTH + NOISE
SPREAD = np.square(TRUTH - TRUTH.mean(axis=1, keepdims=True)).sum()


@pytest.fixture
def products():
    flat = MAPS.reshape(4, -1)
    return Products(
        flat @ flat.T / SPREAD,
        flat @ TRUTH.ravel() / SPREAD,
        float(np.square(TRUTH).sum() / SPREAD),
    )


def skill(weights):
    """By the maps themselves."""
    mixed = np.tensordot(weights, MAPS, axes=1)
    return 1 - np.square(mixed - TRUTH).sum() / SPREAD


@pytest.mark.parametrize("weights", [[1, 0, 0, 0], [0.25] * 4, [0.5, 0.3, 0, 0.1]])
def test_skill_is_that_of_the_weighted_maps(products, weights):
    weights = np.array(weights, float)
    assert products.skill(weights) == pytest.approx(skill(weights))


def test_correlation_is_that_of_the_errors(products):
    flat = NOISE.reshape(4, -1)
    size = np.linalg.norm(flat, axis=1)
    expected = flat @ flat.T / np.outer(size, size)
    np.testing.assert_allclose(products.correlation, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_net_without_error_correlates_with_itself_alone(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(300)
    flat = np.stack([truth, truth + rng.normal(size=300)])
    exact = Products(flat @ flat.T, flat @ truth, float(np.square(truth).sum()))
    np.testing.assert_array_equal(exact.correlation[0], [1, 0])


@pytest.mark.parametrize("most", [1, 2, 5])
def test_greedy_takes_the_net_that_helps_most_each_time(products, most):
    taken = greedy(products, most)
    assert 1 <= len(taken) <= most
    for count in range(1, len(taken) + 1):
        means = [
            skill(np.bincount([*taken[: count - 1], k], minlength=4) / count) for k in range(4)
        ]
        assert taken[count - 1] == int(np.argmax(means))


def test_greedy_ends_where_nothing_helps():
    maps = np.array([[1.0, 0.0], [0.0, 100.0]])  # the first is right, the second far off
    assert greedy(Products(maps, np.array([1.0, 0.0]), 1.0), 5) == [0]


def test_no_weights_of_a_grid_beat_the_stacked_ones(products):
    best = products.skill(stacked(products))
    grid = itertools.product(np.linspace(0, 1, 6), repeat=4)
    assert best >= max(products.skill(np.array(w)) for w in grid) - 1e-9
    assert (stacked(products) >= 0).all()


def test_two_nets_that_are_one_can_be_stacked():
    flat = np.stack([MAPS[0], MAPS[0]]).reshape(2, -1)
    twice = Products(flat @ flat.T, flat @ TRUTH.ravel(), float(np.square(TRUTH).sum()))
    one = Products(twice.maps[:1, :1], twice.truth[:1], twice.own)
    assert twice.skill(stacked(twice)) == pytest.approx(one.skill(stacked(one)), abs=1e-6)


def test_black_nets_are_worth_nothing():
    black = Products(np.zeros((2, 2)), np.zeros(2), 1.0)
    np.testing.assert_array_equal(stacked(black), [0, 0])
    assert black.skill(np.array([0.5, 0.5])) == 0


class Painted:
    """A net whose density is a multiple of the truth of a scene, seen at half its width."""

    frames, stride = 3, 4

    def __init__(self, scene, factor):
        self.scene, self.factor = scene, factor

    def input_size(self, size_hw):
        return size_hw[0], size_hw[1] // 2

    def predict(self, frames, size_hw):
        seen_hw = self.input_size(size_hw)
        rows = self.scene.truth().scaled(0.5, 1.0)
        for number, image in frames:
            assert image.shape[:2] == seen_hw
            people = within_crop(people_of(rows.at(number)), seen_hw)
            density = render(people.counted, seen_hw, stride=4, kind="gaussian")
            yield FramePrediction(number, image, self.factor * density, self.scene.truth()[:0])


def test_a_net_that_says_the_truth_has_a_skill_of_one(scene):
    opened = open_sequence(scene)
    products = products_of([opened, opened], [Painted(opened, f) for f in (1, 2, 0)], windows=2)
    right, double, black = (products.skill(weights) for weights in np.eye(3))
    assert right == pytest.approx(1)
    # Twice the truth errs by the truth, as black does.
    assert double == pytest.approx(black)
    assert double < 0.5
    assert products.skill(np.array([0, 0.5, 0.5])) == pytest.approx(1)


def test_a_net_of_nans_is_named(scene):
    opened = open_sequence(scene)
    with pytest.raises(InputError, match=r"density of net 2 on scene: expected finite numbers"):
        products_of([opened], [Painted(opened, 1), Painted(opened, np.nan)], windows=1)


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        (("a.safetensors", "b.safetensors"), ["a", "b"]),
        (("one/weights.safetensors", "two/weights.safetensors"), ["one", "two"]),
        (("x/one/net.safetensors", "x/two/net.safetensors"), ["one/net", "two/net"]),
        (("p/train/weights.safetensors", "q/train/weights.safetensors"), ["p/train", "q/train"]),
    ],
)
def test_names_tell_nets_apart(weights, names):
    assert short_names(weights) == names


@pytest.fixture
def flags(tiny_weights, make_scene, tmp_path):
    """Two nets, the second of which sees everything twice, on two scenes."""
    make_scene("street")
    make_scene("square")
    state, notes = load_weights(tiny_weights)
    state["heads.maps.density.unit"] *= 2
    other = tmp_path / "other.safetensors"
    save_weights(other, state, notes)
    return EnsembleFlags(
        weights=(str(tiny_weights), str(other)),
        seqs=("street",),
        test_seqs=("square",),
        out=tmp_path / "run",
        data=str(tmp_path),
        windows=2,
    )


def test_nets_are_compared_end_to_end(flags, capsys):
    report = run_ensemble(flags)
    assert json.loads((flags.out / "ensemble.json").read_text()) == report
    picture = Image.open(flags.out / "correlation.png")
    assert min(picture.size) > 200
    known = [each[0] for each in report["skill"]]
    assert known[0] != known[1]
    assert report["greedy"][0] == flags.weights[int(np.argmax(known))]
    stack = report["ways"]["stacked"]["skill"][0]
    assert stack >= max(way["skill"][0] for way in report["ways"].values()) - 1e-9
    assert "skill, test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": ("one.safetensors",)}, "weights of two nets or more"),
        ({"test_seqs": ("street",)}, r"--test-seqs: expected recordings that are not in --seqs"),
        ({"seqs": ()}, "--seqs: expected a sequence or more"),
        ({"predict": PredictSettings(beside=("x",))}, "--beside: expected nothing, got x"),
        ({"windows": 0}, "windows"),
        ({"seqs": ("nowhere",)}, "nowhere"),
    ],
)
def test_bad_input_is_one_line(flags, change, words):
    values = vars(flags) | change
    with pytest.raises(InputError, match=words):
        run_ensemble(EnsembleFlags(**values))


def test_bad_flags_end_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["a.safetensors", "--seqs", "x", "--test-seqs", "y", "--out", "z"])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
