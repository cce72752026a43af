from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot.annotations import read_truth
from mot.boxes import Boxes
from mot.convert import FORMATS, ConvertFlags, convert, main
from mot.errors import InputError, one_line_errors
from mot.formats.annotated import Annotated, Hints
from mot.sequence import open_sequence
from tests.conftest import complaint, seqinfo

LENGTH, WIDTH, HEIGHT = 9, 640, 480
# What each format has no place for; everything else must come back.
LOST = {"mot": (), "coco": (), "cvat": (), "yolo": ("score", "visibility")}
ENDINGS = {"mot": "out", "coco": "out.json", "cvat": "out.xml", "yolo": "out"}
HINTS = Hints(fps=25, size=(WIDTH, HEIGHT))

ROW = st.tuples(
    st.integers(1, LENGTH), st.integers(0, 4),
    st.floats(-50, WIDTH, width=32), st.floats(-50, HEIGHT, width=32),
    st.floats(1, 300, width=32), st.floats(1, 300, width=32),
    st.sampled_from([0.0, 1.0]), st.sampled_from([1, 2, 7, 13, 77]),
    st.sampled_from([-1.0, 0.0, 0.25, 0.99419, 1.0]),
)  # fmt: skip
ROWS = st.lists(ROW, max_size=12, unique_by=lambda row: row[:2])


def scene(rows: list[tuple[float, ...]], name: str = "scene") -> Annotated:
    table = np.array(rows, dtype=np.float64).reshape(-1, 9)
    boxes = Boxes.of(table[:, 0], table[:, 2:6], table[:, 1], *table[:, 6:].T)
    return Annotated(name, LENGTH, WIDTH, HEIGHT, 25.0, boxes.sorted_by_frame())


def there_and_back(name: str, sequences: list[Annotated], folder: Path) -> list[Annotated]:
    target = folder / ENDINGS[name]
    FORMATS[name].write(target, sequences, lambda _: None)
    return FORMATS[name].read(target, HINTS, lambda _: None)


def assert_same(got: Annotated, wanted: Annotated, *, but: tuple[str, ...] = ()) -> None:
    for field in ("name", "length", "width", "height", "fps"):
        assert getattr(got, field) == getattr(wanted, field), field
    assert len(got.boxes) == len(wanted.boxes)
    for column, values in vars(wanted.boxes).items():
        if column not in but:
            tolerance = 0.01 if column in "xywh" else 1e-5
            np.testing.assert_allclose(getattr(got.boxes, column), values, atol=tolerance)


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_what_a_format_holds_comes_back(name, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    wanted = scene(rows)
    [got] = there_and_back(name, [wanted], folder)
    assert_same(got, wanted, but=LOST[name])


@pytest.mark.parametrize("name", ["mot", "coco", "cvat", "yolo"])
def test_several_sequences_stay_apart(name, tmp_path):
    pair = [scene([(1, 1, 5, 5, 9, 9, 1, 1, 1)], "a"), scene([(2, 1, 6, 6, 9, 9, 1, 1, 1)], "b")]
    if name == "cvat":
        FORMATS[name].write(tmp_path / "out", pair, lambda _: None)
        got = FORMATS[name].read(tmp_path / "out", HINTS, lambda _: None)
    else:
        got = there_and_back(name, pair, tmp_path)
    for mine, wanted in zip(got, pair, strict=True):
        assert_same(mine, wanted, but=LOST[name])


@pytest.mark.parametrize("name", ["mot", "coco", "yolo"])
def test_detections_keep_their_scores(name, tmp_path):
    wanted = scene([(1, -1, 5, 5, 9, 9, 0.75, 1, -1), (1, -1, 7, 5, 9, 9, -2.5, 1, -1)])
    target = tmp_path / ENDINGS[name]
    FORMATS[name].write(target, [wanted], lambda _: None)
    hints = Hints(25, (WIDTH, HEIGHT), detections=True, sixth="score")
    [got] = FORMATS[name].read(target, hints, lambda _: None)
    assert_same(got, wanted)


def test_tracks_with_scores_keep_both_in_yolo(tmp_path):
    wanted = scene([(1, 3, 5, 5, 9, 9, 0.75, 1, -1), (2, 3, 7, 5, 9, 9, 1, 1, -1)])
    [got] = there_and_back("yolo", [wanted], tmp_path)
    assert_same(got, wanted)
    row = (tmp_path / "out" / "labels" / "scene" / "000001.txt").read_text()
    assert row == "0 0.01484375 0.01979167 0.01406250 0.01875000 0.75 3\n"


# The command


def run(*arguments: object) -> None:
    one_line_errors(main)([str(argument) for argument in arguments])


def test_a_folder_goes_through_all_formats_and_is_the_same(scene_folder, tmp_path):
    stops = [("a.json", "coco"), ("b.xml", "cvat"), ("c.json", "coco"), ("end", "mot")]
    source = scene_folder
    for name, kind in stops:
        rate = ["--fps", 25] if source.suffix == ".xml" else []
        run(source, tmp_path / name, "--to", kind, *rate)
        source = tmp_path / name
    before, after = (read_truth(f / "gt" / "gt.txt") for f in (scene_folder, source / "scene"))
    for column, values in vars(before.sorted_by_frame()).items():
        np.testing.assert_allclose(getattr(after, column), values, atol=0.01)
    assert (source / "scene" / "seqinfo.ini").read_text() == seqinfo("scene")


@pytest.fixture
def scene_folder(make_scene):
    return make_scene("data/scene")


def test_annotations_are_added_to_a_folder_that_has_frames_only(scene_folder, tmp_path):
    run(scene_folder, tmp_path / "a.json", "--to", "coco")
    rows = (scene_folder / "gt" / "gt.txt").read_text()
    (scene_folder / "gt" / "gt.txt").unlink()
    run(tmp_path / "a.json", scene_folder.parent, "--to", "mot")
    assert open_sequence(scene_folder).truth().x.tolist() and rows
    assert (scene_folder / "img1" / "000001.jpg").is_file()


def test_not_to_a_folder_of_another_video(scene_folder, tmp_path, capsys):
    run(scene_folder, tmp_path / "a.json", "--to", "coco")
    (scene_folder / "gt" / "gt.txt").unlink()
    (scene_folder / "seqinfo.ini").write_text(seqinfo("scene", imWidth=65))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run(tmp_path / "a.json", scene_folder.parent, "--to", "mot")
    assert "choose another target" in complaint(capsys)
    assert not (scene_folder / "gt" / "gt.txt").exists()


def test_what_yolo_has_no_place_for_is_said_in_one_line(scene_folder, tmp_path, capsys):
    run(scene_folder, tmp_path / "yolo", "--to", "yolo", "--no-ids", "--clip")
    [line] = capsys.readouterr().err.splitlines()
    for lost in ("image size", "frame rate", "visibility of 36 boxes", "that 12 boxes"):
        assert lost in line
    label = (tmp_path / "yolo" / "labels" / "scene" / "000001.txt").read_text().split("\n")[0]
    assert len(label.split()) == 5
    assert len(list((tmp_path / "yolo" / "labels" / "scene").iterdir())) == 12


def test_clip_cuts_and_leaves_out(tmp_path):
    rows = [(1, 1, -10, -5, 30, 20, 1, 1, 1), (1, 2, WIDTH + 1, 0, 9, 9, 1, 1, 1)]
    FORMATS["coco"].write(tmp_path / "in.json", [scene(rows)], lambda _: None)
    flags = ConvertFlags(tmp_path / "in.json", tmp_path / "out.json", "coco", clip=True)
    said: list[str] = []
    [got] = convert(flags, said.append)
    assert got.boxes.ltwh.tolist() == [[0, 0, 20, 15]]
    assert said == ["scene: 1 of 2 boxes are outside and left out"]


def test_a_truth_cannot_mix_people_with_and_without_ids(tmp_path):
    mixed = scene([(1, 1, 5, 5, 9, 9, 1, 1, 1), (1, -1, 50, 5, 9, 9, 1, 1, 1)])
    with pytest.raises(InputError, match="--no-ids"):
        FORMATS["mot"].write(tmp_path / "out", [mixed], lambda _: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere", "out", "--to", "mot"],
        ["data", "out", "--to", "voc"],
        ["data", "out", "--to", "coco"],
        ["data", "out.json", "--to", "coco", "--from", "voc"],
        ["data", "out.json", "--to", "coco", "--from", "cvat"],
        ["data", "data", "--to", "mot"],
        ["data", "out.json", "--to", "coco", "--classes", "dog=animal"],
        ["data", "out.json", "--to", "coco", "--fps", "0"],
        ["data", "out.json"],
        ["empty", "out.json", "--to", "coco"],
    ],
)
def test_bad_usage_ends_in_one_line_and_writes_nothing(
    arguments, scene_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    complaint(capsys)
    assert sorted(tmp_path.rglob("*")) == before
