"""python -m nets.calibrate: scores become shares of people."""

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from nets import calibrate
from nets.predict import load_net
from tests.conftest import complaint


def test_the_share_of_people_rises_with_the_score():
    rng = np.random.default_rng(0)
    score = rng.uniform(0.1, 1, 4000)
    curve = calibrate.fit(score, rng.random(4000) < score**2)
    assert (np.diff(curve.share) >= 0).all() and (np.diff(curve.score) > 0).all()
    np.testing.assert_allclose(curve(np.array([0.3, 0.6, 0.9])), [0.09, 0.36, 0.81], atol=0.06)
    with pytest.raises(InputError, match="at least 200 detections, got 199"):
        calibrate.fit(score[:199], np.ones(199, bool))


def test_one_person_is_found_once_and_what_is_ignored_says_nothing():
    box, crowd = [10, 10, 20, 40], [100, 10, 20, 40]
    truth = Boxes.of(1, [box, crowd], score=[1, 0], category=[1, 7])
    found = Boxes.of(1, [box, box, crowd, [200, 10, 20, 40]], score=[0.9, 0.8, 0.7, 0.6])
    score, hit = calibrate.judge(found, truth)
    assert dict(zip(score.round(1).tolist(), hit.tolist(), strict=True)) == {
        0.9: True,
        0.8: False,
        0.6: False,
    }


def test_the_curve_goes_into_the_weights(scene, tiny_weights, tmp_path, capsys):
    out, data = tmp_path / "net.safetensors", ["--data", str(scene.parent), "--seqs", scene.name]
    calibrate.main(["--weights", str(tiny_weights), "--out", str(out), *data, "--windows", "9"])
    assert "are people" in capsys.readouterr().out
    curve = load_net(out).notes.calibration
    assert len(curve.score) > 1 and curve != load_net(tiny_weights).notes.calibration


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seqs"], "--seqs"),
        (["--seqs", "scene", "--windows", "0"], "--windows: expected 1 or more"),
        (["--seqs", "scene", "--weights", "net.xml"], "net.xml"),
    ],
)
def test_mistakes_end_in_one_line(arguments, words, scene, tiny_weights, capsys):
    given = ["--weights", str(tiny_weights), "--data", str(scene.parent), *arguments]
    with pytest.raises(SystemExit) as stop:
        calibrate.main(given)
    assert stop.value.code == 2 and words in complaint(capsys)
