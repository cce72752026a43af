import csv
import sys
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pytest

from mot.errors import InputError
from reid import study
from reid import tune as command
from reid.linker import MENU, LinkerSettings
from reid.recipe import load_settings, write_settings
from reid.search_space import SIGHTED, SearchSpace
from reid.tune import TuneFlags, refuse_reported, tune

optuna = pytest.importorskip("optuna")

FRAMES, FPS = 30, 10
SCORES = ("low_score", "high_score", "birth_score")


def write_scene(folder, seed):
    """Three people walk; detections waver, miss one in six and see a fourth who is not there."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for frame in range(1, FRAMES + 1):
        for person in (1, 2, 3):
            box = np.array([60.0 * person + 3 * frame, 20 + 10 * person, 30, 80])
            truth.append([frame, person, *box, 1, 1, 1])
            if rng.random() < 5 / 6:
                found.append([frame, -1, *(box + rng.normal(0, 2, 4)), rng.uniform(0.3, 1)])
        if rng.random() < 0.6:
            found.append([frame, -1, 400, 50, 30, 80, rng.uniform(0.2, 0.7)])
    (folder / "gt").mkdir(parents=True)
    (folder / "det").mkdir()
    info = f"[Sequence]\nframeRate={FPS}\nseqLength={FRAMES}\nimWidth=640\nimHeight=200\n"
    (folder / "seqinfo.ini").write_text(info)
    for rows, name in ((truth, "gt/gt.txt"), (found, "det/det.txt")):
        (folder / name).write_text("\n".join(",".join(f"{v:g}" for v in row) for row in rows))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("street", "square", "MOT17-09-SDP")):
        write_scene(root / name, seed)
    return root


@pytest.fixture
def flags(data, tmp_path):
    names = ("high_score", "low_score", "max_gap_s")
    out = str(tmp_path / "tune")
    return TuneFlags(("street", "square"), out, str(data), trials=5, parameters=names)


@dataclass(frozen=True)
class Mark:
    """Stands for scores."""

    HOTA: float
    IDF1: float = 0.0


@pytest.fixture
def quick(monkeypatch):
    """Scores by a formula in place of linking, and no pictures: only the search is looked at."""

    def score(scene, settings):
        easy = 20 if scene.sequence.name == "street" else 0
        return Mark(easy + 50 - 20 * abs(settings.high_score - 0.4) - settings.max_gap_s)

    monkeypatch.setattr(command.Scene, "score", score)
    monkeypatch.setattr(command, "combine", lambda marks: Mark(np.mean([m.HOTA for m in marks])))
    monkeypatch.setattr(command, "draw_pictures", lambda *_: None)
    monkeypatch.setattr(study, "RANDOM", 3)
    monkeypatch.setattr(study, "UNPRUNED", 3)
    return score


def table_of(flags):
    with open(f"{flags.out}/trials.csv") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


# --- the command


def test_a_tuning_leaves_study_settings_table_and_pictures(flags, data, tmp_path, capsys):
    arguments = ["--seqs", "street", "square", "--data", str(data), "--trials", "5"]
    command.main([*arguments, "--parameters", *flags.parameters, "--out", flags.out])
    shown = capsys.readouterr().out
    assert "COMBINED" in shown and "training score" in shown
    names = {path.name for path in (tmp_path / "tune").iterdir()}
    pictures = {"history.png", "importances.png"}
    assert names == {"study.db", "best.yaml", "trials.csv", *pictures}
    rows = table_of(flags)
    complete = [float(row["HOTA"]) for row in rows if row["state"] == "complete"]
    assert len(rows) == 5
    # The first trial is the linker to start from; the best is as good as any.
    assert {row["min_iou"] for row in rows} == {"0.3"}
    assert all(float(rows[0][name]) == getattr(MENU["byte"], name) for name in flags.parameters)
    best = load_settings(tmp_path / "tune" / "best.yaml")
    row = rows[int(np.argmax([float(r["HOTA"]) * (r["state"] == "complete") for r in rows]))]
    assert {name: str(value) for name, value in asdict(best).items()}.items() <= row.items()
    notes = (tmp_path / "tune" / "best.yaml").read_text()
    assert f"HOTA {max(complete):.2f}" in notes and "training score" in notes
    scenes = command.open_scenes(flags)
    assert command.combine([s.score(best) for s in scenes]).HOTA == pytest.approx(max(complete))


def test_a_killed_tuning_goes_on_as_if_nothing_had_been(flags, tmp_path, monkeypatch, quick):
    whole = replace(flags, trials=7, out=str(tmp_path / "whole"))
    tune(whole)
    calls = []

    def killed(scene, settings):
        calls.append(scene)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return quick(scene, settings)

    monkeypatch.setattr(command.Scene, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(replace(flags, trials=7))
    assert len(table_of(flags)) in (3, 4)
    monkeypatch.setattr(command.Scene, "score", quick)
    # A kill that leaves no time to say so, in the middle of a trial.
    optuna.load_study(study_name="linker", storage=f"sqlite:///{flags.out}/study.db").ask()
    tune(replace(flags, trials=6, resume=True))
    tune(replace(flags, trials=7, resume=True))
    assert table_of(flags) == table_of(whole)
    assert load_settings(f"{flags.out}/best.yaml") == load_settings(f"{whole.out}/best.yaml")


def test_a_search_finds_what_is_better_and_drops_what_falls_behind(flags, quick):
    best = tune(replace(flags, trials=12)).best
    rows = table_of(flags)
    assert best.settings.max_gap_s < 1 and best.trial > 1
    # The first sequence is the easier one, but that saves nobody.
    assert {row["sequences"] for row in rows if row["state"] == "dropped"} == {"1"}
    assert {row["sequences"] for row in rows if row["state"] == "complete"} == {"2"}
    assert all(row["sequences"] == "2" for row in rows[:3])


def test_a_linker_that_nothing_beats_stays(flags, quick):
    best = tune(replace(flags, trials=3, parameters=("max_gap_s",), linker="sort")).best
    assert best.value >= quick(command.open_scenes(flags)[1], MENU["sort"]).HOTA
    alone = replace(flags, out=f"{flags.out}-alone", trials=1)
    assert tune(alone).best.settings == MENU["byte"]


def test_detections_of_ones_own(flags, data, tmp_path):
    boxes = tmp_path / "boxes"
    boxes.mkdir()
    for name in flags.seqs:
        rows = (data / name / "gt" / "gt.txt").read_text().splitlines()
        text = "\n".join(",".join(row.split(",")[:6]) + ",1" for row in rows)
        (boxes / f"{name}.txt").write_text(text)
    flags = replace(flags, boxes=str(boxes), trials=1)
    assert min(score.MOTA for score in tune(flags).start_scores) == 100
    (boxes / "square.txt").unlink()
    with pytest.raises(InputError, match="square.txt"):
        tune(replace(flags, out=str(tmp_path / "other")))


def test_online_tunes_what_looks_at_no_later_frame(flags, quick):
    outcome = tune(replace(flags, online=True, parameters=(), trials=2))
    assert outcome.best.settings.fill_gap_s == 0 and not outcome.best.settings.backfill
    with pytest.raises(InputError, match="fill_gap_s"):
        SearchSpace(MENU["byte"], ("fill_gap_s",), online=True)


# --- what is refused


@pytest.mark.parametrize(
    "name",
    ["MOT17-09-SDP", "MOT16-09", "MOT17-04-FRCNN", "MOT17Det-04", "TUD-Stadtmitte"]
    + ["mot17-09", "synthetic-test-0001"],
)
def test_what_results_are_reported_on_is_refused(name):
    with pytest.raises(InputError, match="reported"):
        refuse_reported(name)


@pytest.mark.parametrize("name", ["MOT17-02-SDP", "MOT17-05", "TUD-Campus", "synthetic-train-0001"])
def test_other_sequences_are_not(name):
    refuse_reported(name)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seqs": ("street", "MOT17-09")}, "reported"),
        ({"seqs": ("street", "street")}, "once"),
        ({"seqs": ("alley",)}, "alley"),
        ({"parameters": ("speed",)}, "got speed"),
        ({"parameters": ("max_gap_s", "max_gap_s")}, "once"),
        ({"linker": "magic"}, "magic"),
        ({"resume": True}, "leave --resume out"),
    ],
)
def test_what_cannot_be_tuned_is_refused(flags, changes, complaint):
    with pytest.raises(InputError, match=complaint):
        tune(replace(flags, **changes))


def test_flags_that_cannot_be_are_refused(flags):
    for changes in ({"seqs": ()}, {"trials": 0}, {"seed": -1}, {"metric": "IDs"}):
        with pytest.raises(InputError):
            replace(flags, **changes)


def test_a_study_is_not_written_over_and_goes_on_only_as_it_was(flags, tmp_path, quick):
    flags = replace(flags, trials=1)
    tune(flags)
    with pytest.raises(InputError, match="--resume"):
        tune(flags)
    for changes in ({"seed": 2}, {"metric": "IDF1"}, {"seqs": ("street",)}):
        with pytest.raises(InputError, match="same flags"):
            tune(replace(flags, resume=True, **changes))
    (tmp_path / "tune" / "study.db").write_text("something else " * 99)
    with pytest.raises(InputError, match="a study of optuna"):
        tune(replace(flags, resume=True))


def test_without_optuna_one_line_says_what_to_install(flags, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="pip install optuna"):
        tune(flags)


# --- the search space


ZERO = replace(LinkerSettings(), **dict.fromkeys((*SCORES, "confirm_s", "position_noise"), 0.0))


@pytest.mark.parametrize("start", [*MENU.values(), ZERO], ids=[*MENU, "zero"])
def test_every_turn_of_the_dials_is_a_linker(start):
    names = [f.name for f in fields(LinkerSettings) if f.name not in SIGHTED]
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, len(names)) * 30:
        chosen = tuple(rng.choice(names, size, replace=False))
        space = SearchSpace(start, chosen)
        edge = rng.random() < 0.5
        values = {}
        for dial in space.dials:
            share = rng.integers(0, 2) if edge else rng.random()
            values[dial.name] = (
                dial.choices[rng.integers(len(dial.choices))]
                if dial.choices
                else dial.low * (dial.high / dial.low) ** share
                if dial.log
                else dial.low + share * (dial.high - dial.low)
            )
        turned = space.settings(values)
        assert turned.low_score <= turned.high_score <= turned.birth_score
        kept = [name for name in names if name not in chosen]
        assert all(getattr(turned, name) == getattr(start, name) for name in kept)


@pytest.mark.parametrize("linker", MENU)
def test_the_dials_can_show_the_linker_to_start_from(linker):
    names = [f.name for f in fields(LinkerSettings) if f.name not in SIGHTED]
    space = SearchSpace(MENU[linker], names)
    assert space.settings(space.start_values()) == MENU[linker]


def test_dials_follow_from_the_kind_of_setting():
    dials = {dial.setting: dial for dial in SearchSpace(MENU["byte"]).dials}
    numbers = {f.name for f in fields(LinkerSettings) if f.type == "float"}
    assert set(dials) == numbers - set(SIGHTED)
    assert (dials["min_iou"].low, dials["min_iou"].high, dials["min_iou"].log) == (0, 0.6, False)
    assert dials["duplicate_iou"].high == dials["high_score"].high == 1
    assert dials["max_gap_s"].low == pytest.approx(1.25 / 4) and dials["max_gap_s"].log
    assert dials["start_speed"].high == pytest.approx(12) and dials["start_speed"].log
    only = SearchSpace(MENU["byte"], ("high_score",)).dials[0]
    assert (only.low, only.high) == (0.1, 0.6)  # between the scores that stay


# --- the settings file


def test_settings_read_back_as_they_were_written(tmp_path):
    settings = LinkerSettings(solver="greedy", min_iou=0.25, backfill=False, max_gap_s=0.7)
    write_settings(tmp_path / "a.yaml", settings, ["two\nlines", "of: notes"])
    assert load_settings(tmp_path / "a.yaml") == settings
    (tmp_path / "b.yaml").write_text("min_iou: 0.2\n")
    assert load_settings(str(tmp_path / "b.yaml")) == LinkerSettings(min_iou=0.2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("min_iuo: 0.2", "got min_iuo"),
        ("min_iou: wide", "min_iou: expected a number"),
        ("min_iou: 1.2", "min_iou: expected a number in 0..1"),
        ("backfill: 3", "true or false"),
        ("motion: teleport", "kalman, none"),
        ("high_score: 0.9", "low_score ≤ high_score ≤ birth_score"),
        ("[1, 2", "YAML"),
        ("- a", "name: value"),
    ],
)
def test_a_settings_file_that_cannot_be_names_the_place(tmp_path, text, complaint):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint) as error:
        load_settings(path)
    assert "mine.yaml" in error.value.where
    with pytest.raises(InputError, match="none.yaml"):
        load_settings(tmp_path / "none.yaml")
