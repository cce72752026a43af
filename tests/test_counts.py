"""Ways to count, on counts that are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.counts import CountFlags, SceneCounts, errors, fitted_weights, main, read_counts
from eval import evaluate
from mot.errors import InputError
from mot.scene_settings import SceneSettings
from mot.synthetic import write_scene


def scene(place: str, truth: list[float], tracks: list[float], density: list[float]) -> SceneCounts:
    return SceneCounts(place, np.array(truth), np.array([tracks, density]).T)


COUNTS = {
    "north-1": scene("north", [4, 8], [2, 4], [0, 0]),
    "north-2": scene("north", [6, 6], [3, 3], [0, 0]),
    "south": scene("south", [5, 5], [5, 5], [7, 3]),
}


def test_each_way_errs_by_what_it_counts() -> None:
    found = errors(COUNTS)
    np.testing.assert_allclose(found["tracks"]["north-1"], [-2, -4])
    np.testing.assert_allclose(found["density"]["south"], [2, -2])
    np.testing.assert_allclose(found["mean"]["south"], [1, -1])


def test_weights_are_fitted_on_other_places_only() -> None:
    # North says that tracks hold half of the people; south, that they hold all.
    np.testing.assert_allclose(fitted_weights(COUNTS, "south"), [2, 0], atol=1e-9)
    np.testing.assert_allclose(fitted_weights(COUNTS, "north"), [1, 0], atol=1e-9)
    np.testing.assert_allclose(errors(COUNTS)["fitted"]["south"], [5, 5], atol=1e-9)
    np.testing.assert_allclose(fitted_weights({"south": COUNTS["south"]}, "south"), [0.5, 0.5])


def test_a_long_sequence_weighs_no_more_than_a_short_one() -> None:
    counts = {
        "a": scene("a", [2] * 50, [1] * 50, [0] * 50),
        "b": scene("b", [1], [1], [0]),
        "c": scene("c", [1], [1], [0]),
    }
    np.testing.assert_allclose(fitted_weights(counts, "c"), [1.5, 0])


def test_a_run_is_counted_as_it_was_scored(tmp_path, tiny_weights, capsys) -> None:
    walkers = SceneSettings(frames=4, width=160, height=120, people=4, min_height=40, max_height=70)
    write_scene(walkers, tmp_path / "data" / "walkers")
    [scored] = evaluate(
        "walkers", data=tmp_path / "data", out=tmp_path / "run", weights=tiny_weights, report=False
    )
    [found] = errors(read_counts(CountFlags(run=tmp_path / "run")))["tracks"].values()
    assert np.abs(found).mean() == pytest.approx(scored.scores.count_mae)
    main([str(tmp_path / "run")])
    assert f"{scored.scores.density_mae:.2f}" in capsys.readouterr().out


def test_a_run_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="a run folder"):
        read_counts(CountFlags(run=tmp_path / "none"))
