"""Teachers on tiny graphs that always say the same, and what two of them agree on."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from mot.errors import InputError
from nets.teachers import NANODET_STRIDES, WEAKEST, judge_frame, load_teacher


def saved_graph(path: Path, rows: np.ndarray, size_hw: tuple[int, int]) -> Path:
    """An OpenVINO file whose output is `rows`, whatever frame it sees."""
    frame = ops.parameter([1, 3, *size_hw], np.float32, name="frame")
    nothing = ops.multiply(ops.reduce_mean(frame, [0, 1, 2, 3], False), np.float32(0))
    model = ov.Model([ops.add(ops.constant(rows.astype(np.float32)), nothing)], [frame], "says")
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def ssd_rows(*people: tuple[float, ...]) -> np.ndarray:
    """(1, 1, N, 7) rows: image, class, score and corners as shares of the frame."""
    rows = [[0, 1, score, *corners] for score, *corners in people]
    return np.array([[[*rows, [-1, 0, 0, 0, 0, 0, 0]]]])


def test_an_ssd_gives_boxes_in_pixels_of_the_frame(tmp_path: Path) -> None:
    rows = ssd_rows((0.9, 0.25, 0.5, 0.5, 1.0), (0.1, 0.0, 0.0, 0.1, 0.1))
    teacher = load_teacher(saved_graph(tmp_path / "ssd.xml", rows, (64, 64)))
    ltwh, score = teacher.detect(np.zeros((100, 200, 3), np.uint8))
    # Both looks say the same: one box is left, and the weak one counts for nothing.
    np.testing.assert_allclose(ltwh, [[50, 50, 50, 50]], atol=1e-3)
    np.testing.assert_allclose(score, [0.9], atol=1e-6)


def nanodet_rows(side: int, row: int, column: int, distances: tuple[int, ...]) -> np.ndarray:
    """(1, cells, 112): one person at a cell of stride 8, its distances in whole strides."""
    cells = sum((-(-side // stride)) ** 2 for stride in NANODET_STRIDES)
    rows = np.zeros((1, cells, 80 + 4 * 8))
    mine = rows[0, row * (side // 8) + column]
    mine[0] = 0.8
    bins = mine[80:].reshape(4, 8)
    bins[:] = -50
    bins[range(4), distances] = 50  # all of the distribution's mass in one bin
    return rows


def test_nanodet_gives_boxes_by_the_mean_of_its_bins(tmp_path: Path) -> None:
    rows = nanodet_rows(64, 4, 3, (1, 2, 3, 4))
    teacher = load_teacher(saved_graph(tmp_path / "nanodet.xml", rows, (64, 64)))
    ltwh, score = teacher.detect(np.zeros((128, 128, 3), np.uint8))  # half the size fits the net
    np.testing.assert_allclose(ltwh, [[2 * 16, 2 * 16, 2 * 32, 2 * 48]], atol=1e-3)
    np.testing.assert_allclose(score, [0.8], atol=1e-6)


def test_nanodet_without_anybody_gives_nothing(tmp_path: Path) -> None:
    rows = np.zeros((1, 64 + 16 + 4 + 1, 112))
    teacher = load_teacher(saved_graph(tmp_path / "nanodet.xml", rows, (64, 64)))
    ltwh, score = teacher.detect(np.zeros((64, 200, 3), np.uint8))
    assert ltwh.shape == (0, 4) and score.shape == (0,)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = saved_graph(tmp_path / "other.xml", np.zeros((1, 5)), (32, 32))
    with pytest.raises(InputError, match="NanoDet"):
        load_teacher(path)
    with pytest.raises(InputError, match="no such file"):
        load_teacher(tmp_path / "missing.xml")
    (tmp_path / "broken.xml").write_text("<net")
    with pytest.raises(InputError, match=r"broken\.bin"):
        load_teacher(tmp_path / "broken.xml")
    (tmp_path / "broken.bin").touch()
    with pytest.raises(InputError, match="OpenVINO"):
        load_teacher(tmp_path / "broken.xml")


def test_a_net_of_ones_own_teaches_what_it_sees_both_ways_round(tmp_path: Path) -> None:
    import torch

    from nets.menu import build_net
    from nets.settings import NetSettings
    from nets.weights import save_weights

    settings = NetSettings(frames=1, width=0.125, neck_channels=8, deepest=8)
    torch.manual_seed(0)
    net = build_net(settings)
    torch.nn.init.constant_(net.heads.maps["centre"].out.bias, 0.0)
    path = tmp_path / "own.safetensors"
    save_weights(path, net.state_dict(), {"settings": settings.to_json(), "test_px": str(96 * 64)})
    teacher = load_teacher(path)
    image = np.random.default_rng(0).integers(0, 256, (128, 192, 3), np.uint8)
    ltwh, score = teacher.detect(image)
    assert teacher.name == "own" and len(ltwh) == len(score) > 0 and score.min() >= WEAKEST
    mirrored, same = teacher.detect(np.ascontiguousarray(image[:, ::-1]))
    back = mirrored.copy()
    back[:, 0] = image.shape[1] - mirrored[:, 0] - mirrored[:, 2]
    np.testing.assert_allclose(np.sort(score), np.sort(same), atol=1e-4)
    np.testing.assert_allclose(ltwh.sum(0), back.sum(0), rtol=1e-3)


def test_a_net_of_several_frames_is_no_teacher(tiny_weights: Path) -> None:
    with pytest.raises(InputError, match="one frame with a box head, got T 3"):
        load_teacher(tiny_weights)


def opinion(*people: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes ltwh and scores from (x, y, w, h, score)."""
    table = np.array(people, np.float32).reshape(-1, 5)
    return table[:, :4], table[:, 4]


def test_two_who_agree_make_a_person_at_the_mean_box() -> None:
    verdict = judge_frame([opinion((10, 10, 20, 40, 0.6)), opinion((12, 10, 20, 40, 0.3))])
    np.testing.assert_allclose(verdict.people, [[10 + 2 / 3, 10, 20, 40]], rtol=1e-6)
    assert len(verdict.doubtful) == 0


def test_one_alone_is_a_doubt_and_a_faint_one_nothing() -> None:
    alone = opinion((10, 10, 20, 40, 0.9), (100, 10, 20, 40, 0.2))
    verdict = judge_frame([alone, opinion()])
    assert len(verdict.people) == 0
    np.testing.assert_array_equal(verdict.doubtful, [[10, 10, 20, 40]])


def test_two_boxes_of_one_teacher_are_no_agreement() -> None:
    twice = opinion((10, 10, 20, 40, 0.9), (10, 10, 20, 40, 0.8))
    verdict = judge_frame([twice, opinion()])
    assert len(verdict.people) == 0 and len(verdict.doubtful) == 2


def test_two_who_are_unsure_make_a_doubt() -> None:
    verdict = judge_frame([opinion((0, 0, 10, 20, 0.45)), opinion((0, 0, 10, 20, 0.45))])
    assert len(verdict.people) == 0 and len(verdict.doubtful) == 1
