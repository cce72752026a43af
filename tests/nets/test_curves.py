"""python -m nets.curves on logs that are written here."""

import cv2
import pytest

from mot.errors import one_line_errors
from nets.curves import _shared_columns, main, read_log
from tests.conftest import complaint

DENSITY = "step,loss,density_loss,mass_ratio_0,mass_ratio_1,grad_norm,lr,val_loss,doctor\n"
EMBEDDER = "step,triplet_loss,class_loss,distance,accuracy,loss,grad_norm,lr,doctor\n"


@pytest.fixture
def runs(tmp_path):
    rows = [f"{n},{5 / n},{1 / n},0.8,{1.0 + n / 50},2,0.001,,\n" for n in range(1, 51)]
    texts = {"a": DENSITY + "".join(rows), "b": EMBEDDER + "9,1,2,3,0.5,3,1,0.1,fine\n"}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(text)
    return tmp_path


def test_runs_of_two_kinds_share_a_picture(runs, tmp_path):
    logs = {name: read_log(runs / name) for name in ("a", "b")}
    # Not val_loss, in which nothing stands.
    assert _shared_columns(logs) == [
        "loss", "density_loss", "triplet_loss", "class_loss", "mass_ratio", "accuracy",
        "grad_norm", "lr",
    ]  # fmt: skip
    assert logs["a"]["mass_ratio"].iloc[0] == pytest.approx(0.91)
    main([str(runs / "a"), str(runs / "b" / "log.csv"), "--out", str(tmp_path / "c.png")])
    height, width = cv2.imread(str(tmp_path / "c.png")).shape[:2]
    assert width == 990 and 900 < height < 1300


def test_one_run_is_drawn_as_training_draws_it(runs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("nets.curves.draw_curves", lambda *arguments: drawn.append(arguments))
    main([str(runs / "a"), "--out", str(tmp_path / "one.png")])
    assert drawn == [(runs / "a" / "log.csv", tmp_path / "one.png")]


def test_bad_runs_are_one_line(runs, tmp_path, capsys):
    out = ["--out", str(tmp_path / "c.png")]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "log.csv").write_text(DENSITY)
    (tmp_path / "foreign.csv").write_text("frame,time\n1,2\n")
    (tmp_path / "words.csv").write_text(DENSITY + "one,2,3,4,5,6,7,8,9\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "bytes.csv").write_bytes(b"\x89PNG\xff")
    for arguments, word in (
        (out, "a run or several"),
        ([str(tmp_path / "none"), *out], "no such file"),
        ([str(tmp_path / "empty"), *out], "none yet"),
        ([str(tmp_path / "foreign.csv"), *out], "no step"),
        ([str(tmp_path / "words.csv"), *out], "words as step"),
        ([str(tmp_path / "nothing.csv"), *out], "nothing.csv"),
        ([str(tmp_path / "bytes.csv"), *out], "bytes.csv"),
        ([str(runs / "a"), str(runs / "a" / "log.csv"), *out], "each of them once"),
        ([str(runs / "a"), "--out", str(tmp_path / "c.txt")], "--out"),
    ):
        with pytest.raises(SystemExit) as stop:
            one_line_errors(main)(arguments)
        assert stop.value.code == 2
        assert word in complaint(capsys)
    assert not (tmp_path / "c.png").exists()
