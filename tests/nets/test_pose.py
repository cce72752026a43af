"""Pose nets: crops and their maps, the loss, a training end to end, and PCK of its weights."""

import json

import cv2
import numpy as np
import pytest
import torch

from labelmaps.keypoints import find_keypoints
from mot.errors import InputError
from mot.formats.keypoints_json import write_keypoints
from mot.keypoints import Keypoints
from mot.scene_settings import SceneSettings
from nets import pose, pose_data, pose_eval
from nets.menu import build_net
from nets.pose_crops import CropWindow, PoseBatches, PoseCropSettings, PoseTargets, person_clip
from nets.pose_job import keypoint_loss
from nets.pose_predict import PoseNet, as_heat
from nets.settings import NetSettings
from nets.weights import load_weights, save_weights

SCENES = SceneSettings(frames=3, width=160, height=120, people=4, min_height=50, max_height=80)
STILL = PoseCropSettings(flip=False, scale_jitter=0, shift_jitter=0, turn=0, colour=0)
QUICK = ["--max-steps", "2", "--batch", "2", "--workers", "0", "--warmup-steps", "1",
         "--log-every", "1", "--amp", "off", "--device", "cpu"]  # fmt: skip


class Dots:
    """Frames that are black but for a bright dot at each point; two people over three frames."""

    name = "dots"

    def __init__(self, visibility=2):
        rng = np.random.default_rng(8)
        boxes = np.tile([[20.0, 10.0, 40.0, 80.0], [90.0, 20.0, 30.0, 60.0]], (3, 1))
        share = rng.uniform(0.1, 0.9, (6, 3, 2))
        self.keypoints = Keypoints(
            frame=[1, 1, 2, 2, 3, 3], id=[4, 5, 4, 5, 4, 5], ltwh=boxes,
            xy=boxes[:, None, :2] + share * boxes[:, None, 2:],
            visibility=np.broadcast_to(visibility, (6, 3)),
            names=("top", "left_end", "right_end"), edges=((0, 1),),
        )  # fmt: skip

    def image(self, frame):
        image = np.zeros((100, 140, 3), np.uint8)
        for channel in range(3):
            for x, y in self.keypoints.xy[self.keypoints.frame == frame, channel]:
                at = round((x - 0.5) * 16), round((y - 0.5) * 16)
                spot = np.zeros((100, 140), np.uint8)
                cv2.circle(spot, at, 40, 255, -1, cv2.LINE_AA, 4)
                np.maximum(image[:, :, channel], spot, out=image[:, :, channel])
        return image


def bright(crop, channel):
    """Middle of the brightest spot of one channel."""
    weight = crop[:, :, channel].astype(float)
    weight[weight < 0.5 * weight.max()] = 0
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_moves_pixels_and_points_alike(flip):
    source = Dots()
    for row in (0, 1):
        ltwh, xy = source.keypoints.ltwh[row], source.keypoints.xy[row]
        window = CropWindow.around(ltwh, STILL, grow=1.1, turn_degrees=20, flip=flip)
        moved = window.to_crop(xy)
        np.testing.assert_allclose(window.to_frame(moved), xy, atol=1e-3)
        alone = np.zeros((100, 140, 3), np.uint8)
        at = tuple(np.rint((xy[0] - 0.5) * 16).astype(int).tolist())
        cv2.circle(alone, at, 32, (255, 255, 255), -1, cv2.LINE_AA, 4)
        np.testing.assert_allclose(bright(window.cut(alone), 0), moved[0], atol=0.3)


def test_the_box_fits_into_its_crop():
    window = CropWindow.around([10, 20, 30, 100], STILL)
    corners = window.to_crop(np.array([[10, 20], [40, 120]], np.float32))
    assert corners[1, 1] - corners[0, 1] == pytest.approx(96 / 1.25)
    np.testing.assert_allclose(corners.mean(axis=0), [32, 48], atol=1e-4)


def test_maps_of_batches_have_their_peaks_at_the_points():
    source = Dots()
    batches = PoseBatches(
        [source], STILL, frames=2, batch=6, stride=4, seed=1, count=1, augment=False
    )
    crops, targets = batches[0]
    assert crops.shape == (6, 2, 3, 96, 64) and targets.heat.shape == (6, 2, 3, 24, 16)
    again = batches[0]
    assert torch.equal(again[0], crops) and torch.equal(again[1].heat, targets.heat)
    found, _ = find_keypoints(targets.heat.numpy())
    checked = 0
    for person in range(6):
        for frame in range(2):
            crop = crops[person, frame].permute(1, 2, 0).numpy()
            for point in range(3):
                x, y = found[person, frame, point]
                if 4 < x < 60 and 4 < y < 92:
                    near = crop[max(int(y) - 2, 0) : int(y) + 3, max(int(x) - 2, 0) : int(x) + 3]
                    checked += 1
                    assert near[:, :, point].max() > 200
    assert checked > 20


def test_mirrored_crops_swap_left_and_right():
    settings = PoseCropSettings(scale_jitter=0, shift_jitter=0, turn=0, colour=0)
    crops, targets = PoseBatches([Dots()], settings, frames=1, batch=24, stride=4, seed=2, count=1)[
        0
    ]
    found, _ = find_keypoints(targets.heat.numpy())
    swapped = kept = 0
    for crop, points in zip(crops[:, 0].permute(0, 2, 3, 1).numpy(), found[:, 0], strict=True):

        def at(point, channel, crop=crop, points=points):
            x, y = points[point].astype(int)
            return crop[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3, channel].max() > 150

        assert at(0, 0)
        kept += at(1, 1) and at(2, 2)
        swapped += at(1, 2) and at(2, 1)
    assert swapped >= 6 and kept >= 6


def test_clips_follow_a_person_and_repeat_where_there_is_no_next_frame():
    source = Dots()
    numbers, points = person_clip(source, 1, 4)
    assert numbers == [1, 2, 3, 3] and points.id.tolist() == [5] * 4
    unknown = Dots()
    unknown.keypoints = Keypoints(**vars(unknown.keypoints) | {"id": np.full(6, -1)})
    assert person_clip(unknown, 2, 3)[0] == [2, 2, 2]


def test_the_loss_is_a_divergence_and_leaves_out_missing_points():
    heat = PoseBatches(
        [Dots()], STILL, frames=1, batch=2, stride=4, seed=1, count=1, augment=False
    )[0][1].heat
    targets = PoseTargets(heat, torch.ones_like(heat))
    perfect = (heat + 1e-12).log()
    assert float(keypoint_loss(perfect, targets)) == pytest.approx(0, abs=1e-4)
    logits = torch.randn(heat.shape, generator=torch.Generator().manual_seed(1))
    total = count = 0.0
    for index in np.ndindex(*heat.shape[:3]):
        share, q = heat[index].double().numpy(), np.exp(logits[index].double().numpy())
        if share.max() > 0.5:
            share, q = share / share.sum(), q / q.sum()
            some = share > 0
            total += float((share[some] * np.log(share[some] / q[some])).sum())
            count += 1
    assert float(keypoint_loss(logits, targets)) == pytest.approx(total / count, rel=1e-4)
    # A joint that is missing is not asked for: whatever the net says there costs nothing.
    missing = heat.clone()
    missing[:, :, 1] = 0
    some = PoseTargets(missing, torch.ones_like(heat))
    other = logits.clone()
    other[:, :, 1] = 50 * torch.rand(other[:, :, 1].shape)
    assert torch.equal(keypoint_loss(logits, some), keypoint_loss(other, some))
    none = PoseTargets(torch.zeros_like(heat), torch.zeros_like(heat))
    assert float(keypoint_loss(logits, none)) == 0


def test_a_sure_map_peaks_at_one():
    rows, columns = np.mgrid[:24, :16]
    logits = torch.tensor(-((rows - 11) ** 2 + (columns - 8) ** 2) / 2.0)[None]
    assert as_heat(logits, 1.0).max() == pytest.approx(1, abs=0.01)


def test_the_head_has_a_channel_per_point():
    settings = NetSettings(
        backbone="small", frames=2, fuse="none", heads=("keypoints",), keypoints=("a", "b", "c")
    )
    maps = build_net(settings).eval()(torch.zeros(1, 2, 3, 64, 32))
    assert maps["keypoints"].shape == (1, 2, 3, 16, 8)
    assert NetSettings.from_json(settings.to_json()) == settings
    with pytest.raises(InputError, match="--keypoints"):
        build_net(NetSettings(heads=("keypoints",)))
    with pytest.raises(InputError, match="--keypoints"):
        NetSettings(keypoints=("a",))


def test_training_and_measuring_on_rendered_scenes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pose_data, "POSE_SCENES", SCENES)
    monkeypatch.setattr(pose, "VALIDATION_SCENES", 1)
    monkeypatch.setattr(pose, "VALIDATION_BATCHES", 1)
    cache = ["--cache", str(tmp_path / "data" / "cache"), "--scenes", "1"]
    out = tmp_path / "run"
    pose.main(["--out", str(out), *cache, *QUICK, "--width", "0.25"])
    weights = str(out / "weights.safetensors")
    rows = (out / "log.csv").read_text().splitlines()
    assert len(rows) == 3 and "found_share" in rows[0] and (out / "curves.png").is_file()
    sheet, table = tmp_path / "s.jpg", tmp_path / "t.csv"
    measured = pose_eval.show(
        pose_eval.PoseEvalFlags(
            weights=out / "weights.safetensors",
            data=pose_data.PoseDataSettings(scenes=1, cache=str(tmp_path / "data" / "cache")),
            sheet=sheet,
            csv=table,
        )
    )
    assert sheet.is_file() and len(table.read_text().splitlines()) == 19
    # A net that says the truth is right everywhere, one that points elsewhere nowhere.
    assert all(row[2] in ("100.0", "–") for row in pose_eval.Measured(
        measured.truth, measured.truth.xy).rows(0.2))  # fmt: skip
    away = pose_eval.Measured(measured.truth, measured.truth.xy + 999)
    assert away.rows(0.2)[-1][2:] == ["0.0"] * 4
    with pytest.raises(SystemExit):
        pose.main(["--out", str(out), *cache, *QUICK])
    assert "a new run folder" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"nets\.pose"):
        PoseNet.load("weights/synthetic.safetensors")
    assert PoseNet.load(weights).names[0] == "nose"
    state, notes = load_weights(weights)
    crops = json.loads(notes["crops"])
    for wrong, words in (
        ({k: v for k, v in notes.items() if k != "crops"}, "metadata lacks crops"),
        (notes | {"crops": json.dumps(crops | {"zoom": 2})}, "crops: expected one of"),
        (notes | {"crops": "{"}, "crop settings as JSON"),
    ):
        save_weights(tmp_path / "other.safetensors", state, wrong)
        with pytest.raises(InputError, match=words):
            PoseNet.load(tmp_path / "other.safetensors")


def test_training_on_a_file_with_missing_joints(tmp_path, monkeypatch):
    source = Dots(visibility=[2, 0, 1])
    for frame in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"{frame}.png"), source.image(frame)[:, :, ::-1])
    images = {frame: f"{frame}.png" for frame in (1, 2, 3)}
    write_keypoints(tmp_path / "k.json", source.keypoints, images, (140, 100))
    data = ["--poses", str(tmp_path / "k.json"), "--images", str(tmp_path)]
    pose.main(["--out", str(tmp_path / "run"), *data, *QUICK, "--width", "0.25"])
    measured = pose_eval.show(
        pose_eval.PoseEvalFlags(
            weights=tmp_path / "run" / "weights.safetensors",
            data=pose_data.PoseDataSettings(
                poses=(str(tmp_path / "k.json"),), images=(str(tmp_path),)
            ),
        )
    )
    names, counts = zip(*(row[:2] for row in measured.rows(0.2)), strict=True)
    assert names == ("top", "left_end", "right_end", "all") and counts == ("6", "0", "6", "12")
    broken = json.loads((tmp_path / "k.json").read_text())
    broken["annotations"][0]["keypoints"] = [1]
    (tmp_path / "k.json").write_text(json.dumps(broken))
    with pytest.raises(SystemExit):
        pose.main(["--out", str(tmp_path / "other"), *data, *QUICK])
    assert not (tmp_path / "other").exists()


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"crop": (8, 8)}, {"margin": 0.5}, {"sigma": 0}, {"seen_share": 2}):
        with pytest.raises(InputError):
            PoseCropSettings(**wrong)
    with pytest.raises(InputError, match="folder for each file"):
        pose_data.PoseDataSettings(poses=("a.json",))
    with pytest.raises(InputError, match="--heads"):
        pose.PoseSettings(net=NetSettings())
