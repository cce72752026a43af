"""The keypoints table, its files, what hides joints, and PCK against loops."""

import json

import cv2
import numpy as np
import pytest

from mot.errors import InputError, one_line_errors
from mot.formats.keypoints_json import read_keypoints, write_keypoints
from mot.joints import BY_OTHERS, BY_SELF, CARRIERS, COVERS, OUTSIDE, SEEN
from mot.keypoint_table import count_file
from mot.keypoint_table import main as table_main
from mot.keypoints import COCO_EDGES, Keypoints, mirrored_names
from mot.pck import correct_points, rate
from mot.scene_keypoints import main, scene_keypoints
from mot.skeletons import LEFT, RIGHT, draw_skeletons
from mot.synthetic import JOINTS, SceneSettings, render_scene, write_scene
from mot.walker import COCO_JOINTS
from tests.conftest import complaint

SMALL = SceneSettings(frames=4, width=160, height=120, people=6, min_height=30, max_height=70)


def some_people(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return Keypoints(
        frame=rng.integers(1, 4, count),
        id=np.arange(count),
        ltwh=rng.uniform(5, 60, (count, 4)),
        xy=rng.uniform(0, 100, (count, 17, 2)),
        visibility=rng.integers(0, 3, (count, 17)),
    )


def test_unlabelled_points_have_no_place():
    people = some_people()
    assert (people.xy[people.visibility == 0] == 0).all()
    assert (people.xy[people.visibility > 0] != 0).all()


def test_a_table_is_checked():
    good = vars(some_people())
    for changes in (
        {"xy": np.zeros((5, 16, 2))},
        {"visibility": np.full((5, 17), 3)},
        {"ltwh": np.full((5, 4), np.nan)},
        {"edges": ((0, 17),)},
    ):
        with pytest.raises(InputError):
            Keypoints(**good | changes)


def test_mirroring_swaps_left_and_right_and_twice_is_nothing():
    swap = mirrored_names(COCO_JOINTS)
    assert COCO_JOINTS[swap[5]] == "right_shoulder" and swap[0] == 0
    assert (swap[swap] == np.arange(17)).all()
    assert mirrored_names(["head", "left_toe"]).tolist() == [0, 1]


def test_files_come_back_as_they_went(tmp_path):
    people = some_people()
    names = {n: f"{n:06d}.jpg" for n in (1, 2, 3)}
    write_keypoints(tmp_path / "k.json", people, names, (100, 100))
    file = read_keypoints(tmp_path / "k.json")
    assert file.images == tuple(names.values()) and file.tells_hidden
    back = file.keypoints
    assert back.names == COCO_JOINTS and back.edges == COCO_EDGES
    np.testing.assert_allclose(back.xy, people.xy, atol=0.006)
    for name in ("frame", "id", "visibility"):
        assert (getattr(back, name) == getattr(people, name)).all()
    with pytest.raises(InputError, match="a new file"):
        write_keypoints(tmp_path / "k.json", people, names, (100, 100))


def coco(**changes):
    """A file of two points, and one person in the second of two images."""
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "track_id": 3}
    return {
        "images": [{"id": 9, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}],
        "annotations": [{**person, "keypoints": [5, 6, 2, 0, 0, 0]} | changes],
        "categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"], "skeleton": [[1, 2]]}],
    }


def read(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    return read_keypoints(path, say=lambda line: None)


def test_missing_joints_and_boxes(tmp_path):
    people = read(tmp_path, coco()).keypoints
    assert people.frame.tolist() == [2] and people.id.tolist() == [3] and people.edges == ((0, 1),)
    assert people.labelled.tolist() == [[True, False]]
    boxless = read(tmp_path, coco(bbox=None, keypoints=[5, 6, 2, 15, 26, 1])).keypoints
    assert boxless.ltwh.tolist() == [[5, 6, 10, 20]]
    assert len(read(tmp_path, coco(bbox=None, keypoints=[0] * 6)).keypoints) == 0


def test_posetrack_does_not_tell_hidden_points(tmp_path):
    content = coco(keypoints=[5, 6, 1, 0, 0, 0])
    for number, image in enumerate(content["images"]):
        image |= {"vid_id": "001", "frame_id": 10 - number, "is_labeled": True}
    file = read(tmp_path, content)
    assert not file.tells_hidden and file.images == ("b.jpg", "a.jpg")
    assert file.keypoints.frame.tolist() == [1] and file.keypoints.visibility.tolist() == [[2, 0]]
    assert count_file("x", file).rows()[0] == ["a", "1", "100.0", "0.0"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keypoints": [1, 2]}, "6 numbers"),
        ({"keypoints": [1, 2, 3, 4, 5, 0]}, "v of a keypoint"),
        ({"keypoints": "none"}, "6 numbers"),
        ({"bbox": [1, 2]}, "bbox"),
        ({"image_id": 4}, "image_id"),
        ({"track_id": 1.5}, "whole number"),
    ],
)
def test_malformed_entries_are_one_line(tmp_path, capsys, changes, said):
    (tmp_path / "f.json").write_text(json.dumps(coco(**changes)))
    with pytest.raises(SystemExit):
        one_line_errors(table_main)([str(tmp_path / "f.json")])
    line = complaint(capsys)
    assert said in line and "annotations[0]" in line


@pytest.mark.parametrize(
    "content", [{}, [], {"annolist": []}, coco() | {"categories": []}, coco() | {"images": [{}]}]
)
def test_other_files_are_refused(tmp_path, content):
    with pytest.raises(InputError):
        read(tmp_path, content)


def test_scenes_give_their_joints(tmp_path):
    scene = write_scene(SMALL, tmp_path / "scene")
    people = scene_keypoints(scene)
    frames = list(render_scene(SMALL))
    hidden = np.concatenate([frame.hidden for frame in frames])
    # In COCO 2 is in sight and 0 not labelled; the classes of a scene are other numbers.
    assert ((people.visibility == 2) == (hidden == SEEN)).all()
    assert ((people.visibility == 0) == (hidden == OUTSIDE)).all()
    np.testing.assert_allclose(people.xy, np.concatenate([frame.joints for frame in frames]))
    main([str(tmp_path / "scene"), "--out", str(tmp_path / "k.json")])
    written = read_keypoints(tmp_path / "k.json")
    assert (written.keypoints.visibility == people.visibility).all()
    assert all((tmp_path / name).is_file() for name in written.images)
    (tmp_path / "scene" / JOINTS).write_bytes(b"PK")
    with pytest.raises(InputError, match="render the scene again"):
        scene_keypoints(scene)


def test_who_is_seen_at_a_joint_agrees_with_what_hides_it():
    """Where another person or nobody stands at a hidden joint, and its own person at a seen one."""
    agree, hidden = [], 0
    for frame in render_scene(SceneSettings(seed=5, frames=6, people=25, occluders=4)):
        for row in range(len(frame.boxes)):
            for (x, y), why in zip(frame.joints[row], frame.hidden[row], strict=True):
                column, line = int(np.floor(x)), int(np.floor(y))
                inside = 0 <= column < 448 and 0 <= line < 256
                assert inside == (why != OUTSIDE)
                if not inside:
                    continue
                own = frame.owners[line, column] == frame.boxes.id[row]
                if why == BY_OTHERS:
                    assert not own
                    hidden += 1
                else:
                    agree.append(own)
    # Ears and wrists stand out by a fraction of a pixel now and then.
    assert np.mean(agree) > 0.9 and hidden > 50


def test_own_body_hides_what_its_painted_parts_cover():
    """Against masks: a joint is covered where a later part's filled polygon has its pixel."""
    from mot.crowd import aim_camera
    from mot.joints import _on_far_side, own_body_hides
    from mot.stage import _pose, _set_stage

    stage = _set_stage(SceneSettings(seed=2, people=12, min_height=80, max_height=140))
    assert aim_camera and stage.ways
    present = [k for k, way in enumerate(stage.ways) if way.first == 0]
    figures, _ = _pose(stage, 0, present)
    got, far, scale = own_body_hides(figures), _on_far_side(figures.depth), 8
    wrong = total = 0
    for who in range(len(present)):
        order = figures.order(who).tolist()
        for joint in range(17):
            last = max(place for place, part in enumerate(order) if CARRIERS[joint, part])
            corner = figures.joints[who, :17].min(axis=0) - 40
            mask = np.zeros((260 * scale, 260 * scale), np.uint8)
            for part in order[last + 1 :]:
                if COVERS[part]:
                    outline = np.rint((figures.polygons[who, part] - corner) * scale)
                    cv2.fillPoly(mask, [outline.astype(np.int32)], 1)
            x, y = ((figures.joints[who, joint] - corner) * scale).astype(int)
            expected = bool(mask[y, x]) or bool(far[who, joint])
            wrong += expected != got[who, joint]
            total += 1
    assert wrong <= 0.02 * total and 0.1 < got.mean() < 0.6


def test_states_are_counted(tmp_path, capsys):
    table_main(["--scenes", "1", "--frames", "2", "--csv", str(tmp_path / "t.csv")])
    assert "own body" in capsys.readouterr().out
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert len(rows) == 19 and rows[0] == "keypoint,people,seen,own body,others,outside"
    shares = [float(cell) for cell in rows[-1].split(",")[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert {SEEN, BY_SELF, BY_OTHERS, OUTSIDE} == {0, 1, 2, 3}


@pytest.mark.parametrize("by", ["box", "torso"])
def test_pck_is_what_loops_say(by):
    truth = some_people(20, seed=3)
    xy = truth.xy + np.random.default_rng(1).normal(0, 8, truth.xy.shape)
    got = correct_points(xy, truth, share=0.2, by=by)
    good = count = 0
    for row in range(20):
        left, right = truth.names.index("left_shoulder"), truth.names.index("right_hip")
        size = max(truth.ltwh[row, 2], truth.ltwh[row, 3])
        if by == "torso":
            if not (truth.visibility[row, left] and truth.visibility[row, right]):
                assert np.isnan(got[row]).all()
                continue
            size = np.linalg.norm(truth.xy[row, left].astype(float) - truth.xy[row, right])
        for k in range(17):
            if truth.visibility[row, k] == 0:
                assert np.isnan(got[row, k])
                continue
            near = np.linalg.norm(xy[row, k] - truth.xy[row, k]) <= 0.2 * size
            assert got[row, k] == near
            good, count = good + near, count + 1
    assert rate(got) == pytest.approx(100 * good / count)
    assert np.isnan(rate(np.full(3, np.nan)))


def test_skeletons_are_drawn_where_points_are():
    image = np.zeros((60, 60, 3), np.uint8)
    xy = np.zeros((1, 2, 2))
    xy[0] = [[20.5, 10.5], [20.5, 40.5]]
    people = Keypoints(
        frame=[1], id=[1], ltwh=[[0, 0, 60, 60]], xy=xy, visibility=[[2, 2]],
        names=("left_a", "right_b"), edges=((0, 1),),
    )  # fmt: skip
    drawn = draw_skeletons(image, people)
    assert not image.any()
    assert tuple(drawn[10, 20]) == LEFT and tuple(drawn[40, 20]) == RIGHT
    assert drawn[25, 20].any() and not drawn[25, 30].any()
    unknown = Keypoints(**vars(people) | {"visibility": np.array([[2, 0]])})
    assert not draw_skeletons(image, unknown)[30:].any()
