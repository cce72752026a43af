import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mot.annotations import (
    CLASSES,
    ResultWriter,
    considered,
    ignore_regions,
    read_detections,
    read_results,
    read_truth,
    write_results,
)
from mot.boxes import Boxes
from mot.errors import InputError

READERS = (read_truth, read_detections, read_results)
MOT17_ROW = "1,1,10,20,30,40,1,1,0.5"
again = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def save(folder: Path, text: str | bytes, name: str = "gt.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# What files look like


def test_mot17_truth_becomes_0_based(tmp_path):
    boxes = read_truth(save(tmp_path, "3,7,912,484,97,109,0,7,0.25\n1,1,1,1,5,6,1,1,1\n"))
    assert boxes.ltwh.tolist() == [[911, 483, 97, 109], [0, 0, 5, 6]]
    assert boxes.frame.tolist() == [3, 1] and boxes.id.tolist() == [7, 1]
    assert boxes.cls.tolist() == [7, 1] and boxes.visibility.tolist() == [0.25, 1]
    assert considered(boxes).tolist() == [False, True]


@pytest.mark.parametrize("ending", ["1,-1,-1,-1", "-1,-11773,-14337,0", "1,4.4852,5.5,0"])
def test_mot15_truth_is_pedestrians_of_unknown_visibility(tmp_path, ending):
    boxes = read_truth(save(tmp_path, f"1,1,466,139,91,193.68,{ending}\n"))
    assert (boxes.cls[0], boxes.visibility[0], boxes.score[0]) == (1, -1, 1)
    assert considered(boxes).all()


def test_mot15_flag_0_does_not_count(tmp_path):
    boxes = read_truth(save(tmp_path, "1,6,485,145,16.667,55.039,0,-1,-1,-1\n"))
    assert not considered(boxes).any() and ignore_regions(boxes).all()


@pytest.mark.parametrize("columns", [6, 7, 8, 9])
def test_truth_of_fewer_columns(tmp_path, columns):
    boxes = read_truth(save(tmp_path, ",".join("1,1,10,20,30,40,1,1,0.5".split(",")[:columns])))
    assert considered(boxes).all()
    assert boxes.visibility[0] == (0.5 if columns == 9 else -1)


def test_class_minus_1_means_the_only_class(tmp_path):
    assert considered(read_truth(save(tmp_path, "1,1,10,20,30,40,1,-1,-1"))).all()


def test_masks_by_class_and_flag():
    classes = np.arange(1, 14)
    boxes = Boxes.of(1, np.ones((26, 4)), score=[1] * 13 + [0] * 13, category=[*classes, *classes])
    assert np.flatnonzero(considered(boxes)).tolist() == [0]
    assert sorted(set(boxes.cls[ignore_regions(boxes)])) == [1, 2, 6, 7, 8, 12, 13]
    assert not (considered(boxes) & ignore_regions(boxes)).any()
    assert set(CLASSES) == set(classes)


@pytest.mark.parametrize(
    "text",
    [
        "1,1,10,20,30,40,1,1,0.5\n2,1,11,20,30,40,1,1,0.5\n",
        "1 1 10 20 30 40 1 1 0.5\n2 1 11 20 30 40 1 1 0.5\n",
        "  1\t1  10 20 30 40 1 1 0.5 \n2 1 11 20 30 40 1 1 0.5",
        "1, 1, 10, 20, 30, 40, 1, 1, 0.5\n2, 1, 11, 20, 30, 40, 1, 1, 0.5\n",
        "1,1,10,20,30,40,1,1,0.5\r\n2,1,11,20,30,40,1,1,0.5\r\n",
        "1,1,10,20,30,40,1,1,0.5\r2,1,11,20,30,40,1,1,0.5\r",
        "\ufeff1,1,10,20,30,40,1,1,0.5\n2,1,11,20,30,40,1,1,0.5\n",
        "\n1,1,10,20,30,40,1,1,0.5\n  \n2,1,11,20,30,40,1,1,0.5\n\n \n\n",
        "1.0,1,1e1,20,30,40,1,1,.5\n2,1.00,11,20,30,+40,1,1,0.5\n",
    ],
)
def test_text_as_people_have_it(tmp_path, text):
    boxes = read_truth(save(tmp_path, text))
    assert boxes.frame.tolist() == [1, 2] and boxes.x.tolist() == [9, 10]
    assert boxes.visibility.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("text", ["", "\n\n", " \r\n", "\ufeff"])
@pytest.mark.parametrize("read", READERS)
def test_empty_file_is_nobody(tmp_path, read, text):
    assert len(read(save(tmp_path, text), length=5)) == 0


def test_no_pedestrians_is_a_truth_too(tmp_path):
    boxes = read_truth(save(tmp_path, "1,1,10,20,30,40,0,3,1\n1,2,10,20,30,40,0,8,1\n"))
    assert not considered(boxes).any() and ignore_regions(boxes).tolist() == [False, True]


def test_detections_have_scores_and_no_ids(tmp_path):
    boxes = read_detections(save(tmp_path, "1,-1,1697,367,160.2,385.1,0.4\n1,5,1,1,2,2,-0.7"))
    assert boxes.id.tolist() == [-1, -1]
    np.testing.assert_allclose(boxes.score, [0.4, -0.7], rtol=1e-6)


def test_mot15_detections(tmp_path):
    boxes = read_detections(save(tmp_path, "1,-1,500,143,37.006,83.974,24.256,-1,-1,-1\n"))
    assert boxes.score[0] == np.float32(24.256) and boxes.cls[0] == 1


# What is wrong with files


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        ([MOT17_ROW, "2,1,10,20,30"], 2, "9 columns"),
        (["1,1,10,20,30"], 1, "6 columns"),
        ([MOT17_ROW, "2,1,10,20,30,40,1,1,1,1"], 2, "9 columns"),
        ([MOT17_ROW, "2,1,ten,20,30,40,1,1,1"], 2, "numbers"),
        ([MOT17_ROW, "2,1,,20,30,40,1,1,1"], 2, "numbers"),
        ([MOT17_ROW, "2,1,10,20,30,40,True,1,1"], 2, "numbers"),
        ([MOT17_ROW, "2,1,1_0,20,30,40,1,1,1"], 2, "numbers"),
        ([MOT17_ROW, "2,1,10;20;30;40,1,1,1,1,1,1"], 2, "numbers"),
        (["frame,id,x,y,w,h,flag,class,visibility", MOT17_ROW], 1, "numbers"),
        ([MOT17_ROW, "2,1,nan,20,30,40,1,1,1"], 2, "finite"),
        ([MOT17_ROW, "2,1,10,20,30,inf,1,1,1"], 2, "finite"),
        ([MOT17_ROW, "2,1,10,20,30,40,1,1,NaN"], 2, "finite"),
        ([MOT17_ROW, "2,1,10,20,1e999,40,1,1,1"], 2, "finite"),
        ([MOT17_ROW, "2,1,10,20,-30,40,1,1,1"], 2, "sizes of 0"),
        ([MOT17_ROW, "2,1,10,20,30,0,1,1,1"], 2, "above 0"),
        ([MOT17_ROW, "2,1,1e30,20,30,40,1,1,1"], 2, "pixels"),
        ([MOT17_ROW, "0,1,10,20,30,40,1,1,1"], 2, "from 1"),
        ([MOT17_ROW, "1.5,1,10,20,30,40,1,1,1"], 2, "whole frame"),
        ([MOT17_ROW, "11,1,10,20,30,40,1,1,1"], 2, "within the sequence's 10"),
        ([MOT17_ROW, "2,1.5,10,20,30,40,1,1,1"], 2, "whole number"),
        ([MOT17_ROW, "2,16777217,10,20,30,40,1,1,1"], 2, "id"),
        ([MOT17_ROW, "2,-1,10,20,30,40,1,1,1"], 2, "id of 0"),
        ([MOT17_ROW, "2,1,10,20,30,40,1,1.5,1"], 2, "class"),
        ([MOT17_ROW, "2,1,1,2,3,4,1,1,1", "1,1,50,20,30,40,1,1,1"], 3, "at most once"),
        (["", MOT17_ROW, "   ", "2,1,10,20,-30,40,1,1,1"], 4, "sizes of 0"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bad_truth_is_named_by_file_and_line(tmp_path, rows, line, expected, newline):
    path = save(tmp_path, newline.join(rows) + newline)
    with pytest.raises(InputError, match=expected) as caught:
        read_truth(path, length=10)
    assert caught.value.where == f"{path}:{line}"
    assert "\n" not in str(caught.value)


def test_results_need_ids_and_detections_do_not(tmp_path):
    path = save(tmp_path, "1,-1,1,1,2,2,0.5\n1,-1,1,1,2,2,0.5\n")
    with pytest.raises(InputError, match="track id"):
        read_results(path)
    assert len(read_detections(path)) == 2


def test_ids_that_repeat_in_a_frame_of_results(tmp_path):
    path = save(tmp_path, "1,4,1,1,2,2,0.5\n2,4,1,1,2,2,0.5\n1,4,9,9,2,2,0.5\n")
    with pytest.raises(InputError, match="at most once") as caught:
        read_results(path)
    assert caught.value.where == f"{path}:3"


@pytest.mark.parametrize("raw", [b"\xff\xfe1\x00,\x00", b"1,1,10,20,30,40\n\x89PNG\r\n", b"\x00"])
@pytest.mark.parametrize("read", READERS)
def test_files_that_are_no_text(tmp_path, read, raw):
    with pytest.raises(InputError):
        read(save(tmp_path, raw))


@pytest.mark.parametrize("read", READERS)
def test_missing_file_and_folder(tmp_path, read):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError, match="a text file"):
            read(path)


# Laws


ANY_TEXT = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789-+.,eE \t\n\rnaif_x", max_size=80),
    st.lists(
        st.lists(
            st.sampled_from(["1", "2", "0", "-1", "3.5", "1e3", "", "nan", "x", "1e999", "True"]),
            min_size=5,
            max_size=10,
        ).map(",".join),
        max_size=3,
    ).map("\n".join),
)


@again
@given(text=ANY_TEXT)
@example("1,1,1,1,1,1\n\x0b\n1,1,1,1,1,1")
@example("1 1 1 1 1 1\x1c1")
@example("1,1,1,1,1," + "9" * 400)
def test_arbitrary_text_parses_or_is_bad_input(tmp_path, text):
    path = save(tmp_path, text.encode("utf-8", "surrogatepass"))
    for read in READERS:
        try:
            boxes = read(path, length=9)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(boxes.ltwh).all() and (boxes.frame >= 1).all()


@again
@given(raw=st.binary(max_size=80))
def test_arbitrary_bytes_parse_or_are_bad_input(tmp_path, raw):
    path = save(tmp_path, raw)
    for read in READERS:
        try:
            read(path)
        except InputError:
            continue


PIXEL = st.floats(-3000, 9000, width=32)
SIDE = st.floats(0, 5000, width=32)
TRACK_ROW = st.tuples(
    st.integers(1, 99), st.integers(0, 2**24 - 1), PIXEL, PIXEL, SIDE, SIDE, st.floats(0, 1)
)


@again
@given(rows=st.lists(TRACK_ROW, max_size=20, unique_by=lambda row: row[:2]))
def test_write_then_read_is_identity_to_2_decimals(tmp_path, rows):
    table = np.array(rows).reshape(-1, 7)
    boxes = Boxes.of(table[:, 0], table[:, 2:6], id=table[:, 1], score=table[:, 6])
    path = tmp_path / "out.txt"
    write_results(path, boxes)
    back = read_results(path)
    wanted = boxes.sorted_by_frame()
    np.testing.assert_array_equal(back.frame, wanted.frame)
    np.testing.assert_array_equal(back.id, wanted.id)
    np.testing.assert_allclose(back.ltwh, wanted.ltwh, atol=0.0061)  # 0.005 and float32's grain
    np.testing.assert_allclose(back.score, wanted.score, atol=1e-4)
    first = path.read_bytes()
    write_results(path, back)
    assert path.read_bytes() == first


# Writers


def test_rows_are_1_based_with_2_decimals(tmp_path):
    boxes = Boxes.of([2, 1], [[9, 19.5, 30, 40.126], [-1, -1.004, 5, 6]], id=[3, 4], score=0.9)
    write_results(tmp_path / "out.txt", boxes)
    assert (tmp_path / "out.txt").read_text() == (
        "1,4,0.00,0.00,5.00,6.00,0.9000,-1,-1,-1\n2,3,10.00,20.50,30.00,40.13,0.9000,-1,-1,-1\n"
    )


@pytest.mark.parametrize(
    "bad",
    [
        Boxes.of(1, [[np.nan, 1, 2, 3]], id=1),
        Boxes.of(1, [[1, 1, -2, 3]], id=1),
        Boxes.of(1, [[1, 1, 2, 3]], id=-1),
        Boxes.of(1, [[1, 1, 2, 3]], id=1, score=np.inf),
        Boxes.of(0, [[1, 1, 2, 3]], id=1),
    ],
)
def test_writing_what_cannot_be_read_is_refused(tmp_path, bad):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(InputError, match="out.txt"):
        write_results(path, bad)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out.txt"]


def test_result_writer_holds_whole_frames_at_any_moment(tmp_path):
    path = tmp_path / "run" / "scene.txt"
    with ResultWriter(path) as writer:
        assert path.read_bytes() == b""
        for frame in (1, 2, 3):
            writer.write(Boxes.of(frame, [[1, 2, 3, 4], [5, 6, 7, 8]], id=[1, 2]))
            assert len(read_results(path)) == 2 * frame
        writer.write(Boxes.empty())
    assert len(read_results(path)) == 6


def test_100_000_rows_are_read_well_under_a_third_of_a_second(tmp_path):
    frame, identity = np.divmod(np.arange(100_000), 50)
    ltwh = np.random.default_rng(0).uniform(1, 500, (100_000, 4))
    write_results(tmp_path / "out.txt", Boxes.of(frame + 1, ltwh, id=identity))
    times = []
    for _ in range(3):
        start = time.process_time()  # other processes may keep this machine busy
        boxes = read_results(tmp_path / "out.txt", length=2000)
        times.append(time.process_time() - start)
    assert len(boxes) == 100_000
    assert min(times) < 0.3


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "counted", "people"),
    [("MOT17-02", 18581, 62), ("MOT17-09", 5325, 26), ("PETS09-S3-MF1", 620, 7)],
)
def test_real_truth_has_the_published_counts(real_data, name, counted, people):
    found = sorted(real_data.rglob(f"{name}/gt/gt.txt"))
    if not found:
        pytest.skip(f"no {name} below {real_data}")
    boxes = read_truth(found[0])
    kept = boxes[considered(boxes)]
    assert len(kept) == counted and len(np.unique(kept.id)) == people
