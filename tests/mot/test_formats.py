"""Formats of annotations, read and written by themselves: what they hold, and what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.convert import FORMATS
from mot.errors import InputError
from mot.formats.annotated import Annotated, Hints
from tests.conftest import write_images
from tests.mot.test_convert import HEIGHT, HINTS, WIDTH, scene

# COCO for video

COCO = {
    "videos": [{"id": 1, "name": "v", "fps": 25, "width": WIDTH, "height": HEIGHT}],
    "images": [
        {"id": 12, "video_id": 1, "frame_id": 2, "file_name": "v/2.jpg"},
        {"id": 11, "video_id": 1, "frame_id": 0, "file_name": "v/0.jpg"},
        {"id": 10, "video_id": 1, "frame_id": 1, "file_name": "v/1.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 12, "category_id": 1, "bbox": [1, 2, 3, 4], "track_id": 7},
        {"id": 2, "image_id": 11, "category_id": 1, "bbox": [1, 2, 30, 40], "iscrowd": 1},
        {"id": 3, "image_id": 10, "category_id": 5, "bbox": [1, 2, 3, 4], "instance_id": 9,
         "ignore": 1},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 5, "name": "Motorcycle"}],
}  # fmt: skip


def coco(folder: Path, **tables: object) -> Path:
    path = folder / "in.json"
    path.write_text(json.dumps({**COCO, **tables}))
    return path


def read_coco(path: Path, hints: Hints = Hints()) -> Annotated:  # noqa: B008 - frozen
    [sequence] = FORMATS["coco"].read(path, hints, lambda _: None)
    return sequence


def test_coco_with_frames_in_any_order_from_0(tmp_path):
    got = read_coco(coco(tmp_path))
    assert (got.name, got.length, got.width, got.height, got.fps) == ("v", 3, WIDTH, HEIGHT, 25)
    assert got.boxes.frame.tolist() == [1, 2, 3]
    assert got.boxes.id.tolist() == [-1, 9, 7]
    assert got.boxes.cls.tolist() == [13, 5, 1]  # a crowd of persons is MOT20's crowd
    assert got.boxes.score.tolist() == [0, 0, 1]
    assert got.boxes.ltwh[2].tolist() == [1, 2, 3, 4]
    assert got.images == ("0.jpg", "1.jpg", "2.jpg")


def test_coco_with_frames_from_1(tmp_path):
    images = [{**image, "frame_id": image["frame_id"] + 1} for image in COCO["images"]]
    assert read_coco(coco(tmp_path, images=images)).boxes.frame.tolist() == [1, 2, 3]


def test_what_is_written_for_coco(tmp_path):
    FORMATS["coco"].write(
        tmp_path / "o.json", [scene([(2, 4, 5, 6, 9, 8, 0, 7, 0.5)])], lambda _: None
    )
    told = json.loads((tmp_path / "o.json").read_text())
    assert told["videos"] == [
        {"id": 1, "name": "scene", "width": WIDTH, "height": HEIGHT, "fps": 25}
    ]
    assert told["images"][1] == {
        "id": 2, "video_id": 1, "frame_id": 1, "file_name": "scene/img1/000002.jpg",
        "width": WIDTH, "height": HEIGHT,
    }  # fmt: skip
    assert told["annotations"] == [
        {"id": 1, "image_id": 2, "category_id": 7, "bbox": [5, 6, 9, 8], "area": 72, "iscrowd": 0,
         "track_id": 4, "ignore": 1, "visibility": 0.5, "instance_id": 0}
    ]  # fmt: skip
    assert {"id": 7, "name": "static person"} in told["categories"]


IMAGE, BOX = COCO["images"][0], COCO["annotations"][0]


@pytest.mark.parametrize(
    ("tables", "place", "expected"),
    [
        ({"videos": None}, "in.json", "'videos'"),
        ({"annotations": {"a": 1}}, "in.json", "'annotations'"),
        ({"images": [{**IMAGE, "frame_id": None}]}, "images[0]", "'frame_id or frame_index'"),
        ({"images": [{**IMAGE, "frame_id": 1.5}]}, "images[0]", "whole number as frame_id"),
        ({"images": [{**IMAGE, "frame_id": -1}]}, "images[0]", "frame_id from 0 or 1 on"),
        ({"images": [IMAGE, {**IMAGE, "id": 99}]}, "images[1]", "frame_id of its own"),
        ({"images": [{**IMAGE, "video_id": 9}]}, "images[0]", "among the videos"),
        ({"images": [{**IMAGE, "video_id": [1]}]}, "images[0]", "video_id"),
        ({"images": [*COCO["images"][1:], {**IMAGE, "width": 99}]}, "images[2]", "640x480"),
        ({"annotations": [{**BOX, "image_id": 99}]}, "annotations[0]", "among the images"),
        ({"annotations": [{**BOX, "category_id": 99}]}, "annotations[0]", "among the categories"),
        ({"annotations": [{**BOX, "bbox": None}]}, "annotations[0]", "'bbox'"),
        ({"annotations": [{**BOX, "bbox": [1, 2, 3]}]}, "annotations[0]", "[left, top"),
        ({"annotations": [{**BOX, "bbox": [1, 2, 0, 4]}]}, "annotations[0]", "above 0"),
        ({"annotations": [{**BOX, "track_id": "x"}]}, "annotations[0]", "whole number"),
        ({"annotations": [BOX, {**BOX, "id": 5}]}, "annotations[1]", "at most once in a frame"),
        ({"annotations": [{**BOX, "score": "high"}]}, "annotations[0]", "number as score"),
        ({"categories": [{"id": 1, "name": "unicorn"}]}, "categories[0]", "unicorn=pedestrian"),
        ({"categories": [{"id": 1}]}, "categories[0]", "'name'"),
        ({"videos": [{"id": 1, "name": "/.."}]}, "videos[0]", "a name"),
    ],
)
def test_what_is_wrong_with_a_coco_file_is_named_with_its_place(tmp_path, tables, place, expected):
    if "videos" in tables and tables["videos"]:
        tables = {**tables, "videos": [{**COCO["videos"][0], **tables["videos"][0]}]}
    with pytest.raises(InputError) as caught:
        read_coco(coco(tmp_path, **tables))
    assert place in caught.value.where and expected in str(caught.value)


def test_a_file_that_is_no_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "in.json"
    path.write_text('{"videos": [],\n "images": [}')
    with pytest.raises(InputError, match=r"in\.json:2: expected JSON"):
        read_coco(path)


def test_other_categories_by_hint(tmp_path):
    path = coco(tmp_path, categories=[{"id": 1, "name": "walker"}, {"id": 5, "name": "dog"}])
    got = read_coco(path, Hints(classes={"walker": 1, "dog": None}))
    assert got.boxes.cls.tolist() == [13, 1] and len(got.boxes) == 2


def test_names_that_lead_elsewhere_become_plain(tmp_path):
    videos = [{**COCO["videos"][0], "name": "../../train/v"}]
    assert read_coco(coco(tmp_path, videos=videos)).name == "train-v"


# CVAT for video


def cvat(folder: Path, tracks: str, meta: str = "<size>10</size>") -> Path:
    path = folder / "in.xml"
    path.write_text(
        f"<annotations><version>1.1</version><meta><task><name>gate</name>{meta}<original_size>"
        f"<width>{WIDTH}</width><height>{HEIGHT}</height></original_size></task></meta>"
        f"{tracks}</annotations>"
    )
    return path


def box(frame: int, left: float, outside: int = 0, **more: object) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    return (
        f'<box frame="{frame}" outside="{outside}" xtl="{left}" ytl="10" xbr="{left + 20}" '
        f'ybr="60"{extra}/>'
    )


def read_cvat(path: Path) -> tuple[Boxes, list[str]]:
    said: list[str] = []
    [sequence] = FORMATS["cvat"].read(path, Hints(), said.append)
    assert (sequence.name, sequence.width, sequence.height) == ("gate", WIDTH, HEIGHT)
    return sequence.boxes, said


def test_keyframes_are_interpolated_and_outside_ends_a_box(tmp_path):
    track = box(1, 0) + box(5, 40) + box(6, 40, outside=1) + box(8, 100)
    boxes, said = read_cvat(cvat(tmp_path, f'<track id="4" label="person">{track}</track>'))
    assert boxes.frame.tolist() == [2, 3, 4, 5, 6, 9, 10]
    assert boxes.x.tolist() == [0, 10, 20, 30, 40, 100, 100]
    assert set(boxes.id.tolist()) == {4} and boxes.ltwh[0].tolist() == [0, 10, 20, 50]
    assert len(said) == 1 and "1 of 1 tracks do not end" in said[0]


def test_attributes_and_occluded(tmp_path):
    plain = box(0, 0, occluded=1) + box(1, 0) + box(2, 0, outside=1)
    path = cvat(
        tmp_path,
        f'<track id="1" label="pedestrian">{plain}</track>'
        '<track id="2" label="car"><box frame="3" outside="0" occluded="1" xtl="0" ytl="0" xbr="9" '
        'ybr="9"><attribute name="visibility">0.4</attribute><attribute name="ignored">true'
        f"</attribute></box>{box(4, 0, outside=1)}</track>",
    )
    boxes, said = read_cvat(path)
    np.testing.assert_allclose(boxes.visibility, [0, 1, 0.4])
    assert boxes.score.tolist() == [1, 1, 0] and boxes.cls.tolist() == [1, 1, 3] and not said


def test_a_task_that_shows_every_third_frame_of_a_part(tmp_path):
    meta = (
        "<size>3</size><start_frame>4</start_frame><stop_frame>10</stop_frame>"
        "<frame_filter>step=3</frame_filter>"
    )
    track = f'<track id="1" label="person">{box(4, 0) + box(10, 60)}</track>'
    boxes, _ = read_cvat(cvat(tmp_path, track, meta))
    assert boxes.frame.tolist() == [5, 8, 11] and boxes.x.tolist() == [0, 30, 60]


def test_a_gap_is_written_as_outside(tmp_path):
    rows = [(1, 1, 5, 5, 9, 9, 1, 1, 1), (4, 1, 7, 5, 9, 9, 1, 1, 1)]
    FORMATS["cvat"].write(tmp_path / "o.xml", [scene(rows)], lambda _: None)
    told = [line for line in (tmp_path / "o.xml").read_text().splitlines() if "<box" in line]
    frames = [line.split('"')[1] + ("-" if 'outside="1"' in line else "+") for line in told]
    assert frames == ["0+", "1-", "3+", "4-"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<annotations><meta>", r"in\.xml:1: expected XML"),
        ("<html></html>", "CVAT for video 1.1"),
        ('<annotations><image id="0"/></annotations>', "CVAT for video 1.1"),
        ("<annotations><meta><project/></meta></annotations>", "not a whole project"),
        ("<annotations><meta><task><size>3</size></task></meta></annotations>", "--size"),
        ("<annotations><meta><task><size>x</size></task></meta></annotations>", "whole number"),
    ],
)
def test_what_is_no_cvat_video_is_named(tmp_path, text, expected):
    (tmp_path / "in.xml").write_text(text)
    with pytest.raises(InputError, match=expected):
        FORMATS["cvat"].read(tmp_path / "in.xml", Hints(), lambda _: None)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        ('<track id="3" label="ghost"></track>', "track 3: .*'ghost'"),
        (f'<track label="person">{box(0, 0)}</track>', "track, id"),
        (f'<track id="3" label="person">{box(12, 0)}</track>', "track 3, frame 12"),
        (f'<track id="3" label="person">{box(0, 0, rotation=45)}</track>', "frame 0: .*upright"),
        (f'<track id="3" label="person">{box(0, 0)}{box(0, 5)}</track>', "frame 0: .*one box"),
        ('<track id="3" label="person"><box frame="0" xtl="1"/></track>', "frame 0, ytl: .*number"),
    ],
)
def test_what_is_wrong_with_a_track_is_named_with_its_place(tmp_path, track, expected):
    with pytest.raises(InputError, match=expected):
        read_cvat(cvat(tmp_path, track))


def test_other_shapes_are_left_behind_and_said(tmp_path):
    shapes = '<polygon frame="0" points="1,1;2,2;3,3"/>' + box(0, 0) + box(1, 0, outside=1)
    boxes, said = read_cvat(cvat(tmp_path, f'<track id="1" label="person">{shapes}</track>'))
    assert len(boxes) == 1 and "left behind: 1" in said[0]


# YOLO text


def test_yolo_as_ultralytics_writes_it_for_a_video(tmp_path):
    for frame, row in ((3, "0 0.5 0.5 0.1 0.2 7"), (12, "0 0.25 0.5 0.1 0.2 7")):
        (tmp_path / f"street_{frame}.txt").write_text(row + "\n")
    [got] = FORMATS["yolo"].read(tmp_path, HINTS, lambda _: None)
    assert (got.name, got.length) == ("street", 12)
    assert got.boxes.frame.tolist() == [3, 12] and got.boxes.id.tolist() == [7, 7]
    np.testing.assert_allclose(got.boxes.ltwh[0], [288, 192, 64, 96], atol=1e-4)


def test_yolo_takes_size_and_length_from_images_beside_the_labels(tmp_path):
    write_images(tmp_path / "images" / "s")
    (tmp_path / "labels" / "s").mkdir(parents=True)
    (tmp_path / "labels" / "s" / "000002.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("car\nperson\n")
    [got] = FORMATS["yolo"].read(tmp_path, Hints(), lambda _: None)
    assert (got.name, got.length, got.width, got.height) == ("s", 12, 64, 48)
    assert got.boxes.ltwh.tolist() == [[16, 12, 32, 24]] and got.boxes.cls.tolist() == [1]


def test_a_time_stamp_is_no_frame_number(tmp_path):
    (tmp_path / "s_170000000.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(InputError, match="count frames from 1"):
        FORMATS["yolo"].read(tmp_path, HINTS, lambda _: None)


def test_names_of_classes_matter_only_where_they_are_met(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "000001.txt").write_text("0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1\n")
    (tmp_path / "data.yaml").write_text("names: {0: person, 1: airplane, 2: car}\n")
    [got] = FORMATS["yolo"].read(tmp_path / "labels", HINTS, lambda _: None)
    assert got.boxes.cls.tolist() == [1, 3] and got.name == tmp_path.name
    (tmp_path / "data.yaml").unlink()
    hints = Hints(size=(WIDTH, HEIGHT), classes={"2": None})
    [got] = FORMATS["yolo"].read(tmp_path, hints, lambda _: None)
    assert got.boxes.cls.tolist() == [1]
    path = coco(tmp_path, categories=[*COCO["categories"], {"id": 9, "name": "airplane"}])
    assert len(read_coco(path).boxes) == 3


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 0.5 0.5 0.1", r"000001\.txt:2: .*class, centre x"),
        ("0 0.5 0.5 0.1 x", r"000001\.txt:2: .*class, centre x"),
        ("0 0.5 0.5 0.1 0.1 0.9 1 2", "outlines"),
        ("0 320 240 64 48", "shares of the frame"),
        ("0 0.5 0.5 0.1 0.1 0.9", "--sixth score"),
        ("0 0.5 0.5 0 0.1", "above 0"),
        ("2 0.5 0.5 0.1 0.1", "classes.txt"),
        ("0 nan 0.5 0.1 0.1", "finite"),
        ("nan 0.5 0.5 0.1 0.1", "whole number as class"),
        ("0 0.5 0.5 0.1 0.1 inf", "whole number as id"),
    ],
)
def test_what_is_wrong_with_a_yolo_row_is_named_with_its_line(tmp_path, row, expected):
    (tmp_path / "000001.txt").write_text(f"\n{row}\n")
    with pytest.raises(InputError, match=expected):
        FORMATS["yolo"].read(tmp_path, HINTS, lambda _: None)
