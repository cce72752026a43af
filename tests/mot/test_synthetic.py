import threading
from dataclasses import replace

import numpy as np
import pytest

from mot import synthetic
from mot.boxes import Boxes
from mot.errors import InputError
from mot.frames import stream_frames
from mot.synthetic import (
    SceneSettings,
    ensure_scenes,
    render_frames,
    render_scene,
    scene_settings,
    settings_hash,
    write_scene,
)

SMALL = SceneSettings(frames=4, width=128, height=96, people=4, min_height=16, max_height=40)
EMPTY_STREET = replace(SMALL, occluders=0, clutter=0)


@pytest.fixture(scope="module")
def street():
    """A scene of the default size without things that hide people."""
    return list(render_scene(SceneSettings(seed=3, frames=24, occluders=0, clutter=0)))


def everybody(frames):
    return Boxes.concatenate([frame.boxes for frame in frames])


def test_same_settings_same_bytes_other_seed_other_bytes():
    first, again = (list(render_frames(SMALL)) for _ in range(2))
    other = list(render_frames(replace(SMALL, seed=1)))
    for (image, boxes), (image_again, boxes_again) in zip(first, again, strict=True):
        assert image.tobytes() == image_again.tobytes()
        assert (boxes.ltwh == boxes_again.ltwh).all()
    assert first[0][0].tobytes() != other[0][0].tobytes()


def test_frames_have_the_asked_size_and_boxes_their_number():
    for number, (image, boxes) in enumerate(render_frames(SMALL), start=1):
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
        assert (boxes.frame == number).all() and len(boxes)
        assert (boxes.score == 1).all() and (boxes.cls == 1).all() and (boxes.id >= 1).all()


def test_scene_without_people_has_no_boxes():
    frames = list(render_scene(replace(SMALL, people=0)))
    assert [len(frame.boxes) for frame in frames] == [0] * 4
    assert not any(frame.owners.any() for frame in frames)
    assert frames[0].joints.shape == (0, 17, 2)


def test_about_as_many_people_as_asked_for(street):
    assert np.mean([len(frame.boxes) for frame in street]) == pytest.approx(20, abs=2.5)


def test_box_is_tight_around_a_person_who_is_seen_whole(street):
    checked = 0
    for frame in street[::8]:
        for row in np.flatnonzero(frame.boxes.visibility == 1):
            rows, columns = np.nonzero(frame.owners == frame.boxes.id[row])
            seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_allclose(frame.boxes.ltrb[row], seen, atol=2.0)
            checked += 1
    assert checked > 10


def test_nobody_is_seen_outside_the_own_box(street):
    for frame in street[::8]:
        for identity, (left, top, right, bottom) in zip(
            frame.boxes.id, frame.boxes.ltrb, strict=True
        ):
            rows, columns = np.nonzero(frame.owners == identity)
            if len(rows):
                assert columns.min() >= left - 1.5 and columns.max() <= right + 1.5
                assert rows.min() >= top - 1.5 and rows.max() <= bottom + 1.5


def test_people_hide_one_another_near_before_far(street):
    boxes = everybody(street)
    assert ((boxes.visibility >= 0) & (boxes.visibility <= 1)).all()
    assert (boxes.visibility < 0.6).any() and np.mean(boxes.visibility > 0.9) > 0.3


def test_occluders_hide_people():
    def visible(occluders):
        settings = replace(EMPTY_STREET, occluders=occluders, people=12, frames=1)
        return np.mean([next(render_frames(replace(settings, seed=s)))[1].visibility.mean()
                        for s in range(6)])  # fmt: skip

    assert visible(40) < visible(0) - 0.2


def test_joints_lie_inside_the_boxes(street):
    for frame in street[::6]:
        low, high = frame.boxes.ltrb[:, None, :2], frame.boxes.ltrb[:, None, 2:]
        assert frame.joints.shape == (len(frame.boxes), 17, 2)
        assert (frame.joints >= low - 0.5).all() and (frame.joints <= high + 0.5).all()


def test_people_lower_in_the_image_are_larger(street):
    boxes = everybody(street)
    assert np.corrcoef(boxes.y + boxes.h, boxes.h)[0, 1] > 0.9
    assert boxes.h.min() > 0.7 * 28 and boxes.h.max() < 1.25 * 90


def test_everybody_is_there_without_gaps_and_comes_in_at_a_border():
    frames = list(render_scene(SceneSettings(seed=1, frames=45, people=8, fps=8, width=256)))
    boxes = everybody(frames)
    assert len(np.unique(boxes.id)) > 10
    for identity in np.unique(boxes.id):
        own = boxes[boxes.id == identity]
        assert (np.diff(own.frame) == 1).all()
        if own.frame[0] > 1:
            assert own.x[0] < 1 or own.x[0] + own.w[0] > 255


def test_steps_match_the_speed():
    settings = replace(EMPTY_STREET, frames=30, speed_spread=0.0, stops=0, pairs=0, crossings=0)
    boxes = everybody(render_scene(settings))
    for identity in np.unique(boxes.id):
        own = boxes[boxes.id == identity]
        steps = np.abs(np.diff(own.x + own.w / 2)) / own.h[1:] * settings.fps
        assert not len(steps) or np.median(steps) < 1.6 * settings.speed


def test_nothing_moves_in_a_still_scene():
    still = replace(SMALL, speed=0.0, noise=0, flicker=0)
    frames = [image for image, _ in render_frames(still)]
    assert all((image == frames[0]).all() for image in frames)


def test_camera_pan_moves_boxes_by_as_much():
    moving = replace(SMALL, speed=0.0, pan_px_s=30.0, frames=5, people=8)
    boxes = everybody(render_scene(moving))
    for identity in np.unique(boxes.id):
        own = boxes[boxes.id == identity]
        np.testing.assert_allclose(np.diff(own.x), 2.0, atol=1e-3)
        np.testing.assert_allclose(np.diff(own.y), 0.0, atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"fog": 0.9}, {"rain": 0.8}, {"blur_px": 1.5}, {"lighting": 0.0}, {"noise": 12.0},
     {"shadows": 0.0}, {"jitter_px": 2.0}],
    ids=str,
)  # fmt: skip
def test_weather_light_and_camera_change_the_picture(change):
    plain = replace(SMALL, frames=2)
    plain_image = next(render_frames(plain))[0]
    assert (next(render_frames(replace(plain, **change)))[0] != plain_image).any()


def test_written_scene_reads_back(tmp_path):
    sequence = write_scene(SMALL, tmp_path / "deep" / "scene")
    frames = list(render_scene(SMALL))
    truth, rendered = sequence.truth(), everybody(frames)
    assert (sequence.length, sequence.width, sequence.height, sequence.fps) == (4, 128, 96, 15)
    np.testing.assert_allclose(truth.ltwh, rendered.ltwh, atol=0.0051)
    np.testing.assert_allclose(truth.visibility, rendered.visibility, atol=1e-4)
    assert (truth.id == rendered.id).all() and (truth.frame == rendered.frame).all()
    joints = np.load(tmp_path / "deep" / "scene" / "gt" / "joints.npz")["joints"]
    assert joints.shape == (len(truth), 17, 2)
    for (_, decoded), frame in zip(stream_frames(sequence), frames, strict=True):
        assert np.abs(decoded.astype(int) - frame.rgb).mean() < 6


def test_written_scene_without_people_reads_back(tmp_path):
    assert len(write_scene(replace(SMALL, people=0), tmp_path / "empty").truth()) == 0


def test_interrupted_scene_leaves_nothing(tmp_path, monkeypatch):
    def break_off(settings):
        yield next(render_scene(settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "render_scene", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_scene(SMALL, tmp_path / "scene")
    with pytest.raises(KeyboardInterrupt):
        ensure_scenes(tmp_path / "all", 1, "train", SMALL)
    assert not (tmp_path / "scene").exists()
    assert not list((tmp_path / "all").rglob("*.jpg"))


def test_scenes_are_rendered_once(tmp_path, monkeypatch):
    tiny = replace(SMALL, frames=1)
    first = ensure_scenes(tmp_path, 2, "val", tiny)
    monkeypatch.setattr(synthetic, "render_scene", lambda settings: 1 / 0)
    assert ensure_scenes(tmp_path, 2, "val", tiny) == first
    assert [s.name for s in first] == ["synthetic-val-0001", "synthetic-val-0002"]
    assert first[0].folder.parts[-3:-1] == (f"synthetic-{settings_hash(tiny)}", "val")


def test_splits_never_share_a_seed():
    seeds = {
        scene_settings(replace(SMALL, seed=seed), split, number).seed
        for seed in (0, 1, 7)
        for split in ("train", "val", "test")
        for number in (1, 2, 999_999)
    }
    assert len(seeds) == 27


def test_hash_tells_settings_apart_but_not_how_a_number_is_written():
    assert settings_hash(SMALL) == settings_hash(replace(SMALL, people=4.0))
    assert settings_hash(SMALL) != settings_hash(replace(SMALL, people=5))


def test_several_may_render_the_same_scenes_at_once(tmp_path):
    tiny, results = replace(SMALL, frames=2), []
    workers = [
        threading.Thread(target=lambda: results.append(ensure_scenes(tmp_path, 2, "test", tiny)))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 3 and results[0] == results[1] == results[2]
    assert len(list(tmp_path.rglob("*.jpg"))) == 4
    assert not [p for p in tmp_path.rglob(".*")]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"people": -1}, "people"), ({"frames": 0}, "frames"), ({"max_height": 5}, "max_height"),
     ({"fps": float("nan")}, "fps"), ({"fog": 1.5}, "fog"), ({"width": 8}, "width")],
    ids=str,
)  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(change, named):
    with pytest.raises(InputError, match=named):
        replace(SMALL, **change)


def test_unknown_split_and_negative_count_are_refused(tmp_path):
    with pytest.raises(InputError, match="train, val, test"):
        ensure_scenes(tmp_path, 1, "trian", SMALL)
    with pytest.raises(InputError, match="scenes"):
        ensure_scenes(tmp_path, -1, "train", SMALL)
