"""Which trainings benchmarks.tracked makes of a sweep."""

import sys

import pytest

from benchmarks import tracked


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Runs the command line up to the trainings, which come back by name."""
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "settings: {max_steps: 5, scenes: 1}\n"
        "axes: {lr: [0.001, 0.01]}\n"
        "variants: {plain: {}, 'wide, of two': {width: 0.5}}\n"
        "seeds: [1, 2]\n"
    )
    monkeypatch.setattr("benchmarks.tracked.check_cells", lambda cells: None)
    monkeypatch.setattr("benchmarks.tracked.ensure_scenes", lambda *_, **__: [])
    found = {}

    def rows_of(function, tasks, row, out, workers):
        found.update(tasks)
        return {}

    monkeypatch.setattr("benchmarks.tracked.rows_of", rows_of)
    monkeypatch.setattr("benchmarks.tracked.print_table", lambda rows: None)

    def run(*flags):
        found.clear()
        words = ["tracked", "--config", str(sweep), "--out", str(tmp_path / "run"), *flags]
        monkeypatch.setattr(sys, "argv", words)
        tracked.main()
        return dict(found)

    return run


def test_each_variant_value_and_seed_is_a_row(started):
    tasks = started()
    assert len(tasks) == 8
    assert {task.variant for task in tasks.values()} == {
        *("plain, 0.001", "plain, 0.01", "wide, of two, 0.001", "wide, of two, 0.01"),
    }
    wide = next(name for name in tasks if name.startswith("wide-of-two-0.01-seed2-"))
    assert tasks[wide].settings.net.width == 0.5
    assert tasks[wide].settings.schedule.lr == 0.01
    assert tasks[wide].settings.schedule.seed == 2
    assert tasks[wide].run.name == wide


def test_flags_win_over_the_sweep_and_make_other_rows(started):
    plain = started()
    tasks = started("--variants", "plain", "--seeds", "7", "--steps", "3", "--data", "elsewhere")
    assert len(tasks) == 2
    assert not set(tasks) & set(plain)
    for task in tasks.values():
        assert (task.settings.schedule.max_steps, task.settings.schedule.seed) == (3, 7)
        assert task.settings.data.data == "elsewhere"


def test_rows_do_not_depend_on_where_they_are_kept(started, tmp_path):
    assert set(started()) == set(started("--out", str(tmp_path / "other")))


def test_an_unknown_variant_is_refused(started, capsys):
    with pytest.raises(SystemExit) as stop:
        started("--variants", "narrow")
    assert stop.value.code == 2
    assert "some of ['plain', 'wide, of two']" in capsys.readouterr().err
