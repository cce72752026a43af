from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mot.boxes import Boxes
from mot.errors import InputError
from nets.backends import RUNNERS, Engine
from reid.crops import cut
from reid.embedder import Embedder, EmbedderSettings, choose_embedder, embed
from reid.embedding import CropEmbedder
from reid.looker import Looker
from reid.settings import LinkerSettings

STILL = LinkerSettings(camera="none")


@pytest.fixture(scope="module")
def embedder():
    torch.manual_seed(0)
    tiny = EmbedderSettings(backbone="small", width=0.25, channels=16, size=(32, 16))
    return Embedder(tiny).eval()


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(0).integers(0, 256, (54, 96, 3)).astype(np.uint8)


def test_looks_are_embeddings_of_the_boxes_wherever_the_frame_was_resized(embedder, frame):
    ltwh = np.array([[100.0, 50, 80, 200], [900, 100, 60, 180]])
    sight = Looker(embedder, STILL, (1920, 1080))(frame, Boxes.of(1, ltwh))
    crops = [cut(frame, box / 20, (32, 16)) for box in ltwh]
    np.testing.assert_allclose(sight.look(ltwh), embed(embedder, crops, mirror=False), atol=1e-6)
    assert sight.camera is None and sight.count is None


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize("stripes", [0, 4])
def test_whatever_computes_embeddings_they_are_torchs(frame, backend, stripes):
    pytest.importorskip(RUNNERS[backend].package, reason=f"{backend} is not installed")
    torch.manual_seed(0)
    shape = {"backbone": "small", "width": 0.25, "channels": 16, "size": (64, 16)}
    net = Embedder(EmbedderSettings(**shape, stripes=stripes)).eval()
    crops = [cut(frame, np.array([k, 5.0, 16, 32]), (64, 16)) for k in range(5)]
    fast = CropEmbedder(net, Engine(backend, "cpu"))
    for some in (crops[:1], crops, crops[:2], []):
        np.testing.assert_allclose(fast(some), embed(net, some, mirror=False), atol=1e-5)


def test_boxes_beside_the_frame_are_looked_at_at_its_edge(embedder, frame):
    sight = Looker(embedder, STILL, (96, 54))(frame, Boxes.empty())
    looks = sight.look(np.array([[-50.0, 10, 20, 30], [200, 10, 20, 30], [10, -90, 20, 30]]))
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-5)


def test_nobody_looks_without_an_embedder_or_where_looks_do_not_count(embedder, frame):
    for eyes, settings in ((None, STILL), (embedder, replace(STILL, reid_gap_s=0.0))):
        assert Looker(eyes, settings, (96, 54))(frame, Boxes.empty()).look is None


def test_the_camera_is_told_in_original_pixels():
    noise = np.random.default_rng(1).integers(0, 256, (200, 420, 3)).astype(np.uint8)
    wide = cv2.GaussianBlur(noise, (0, 0), 2.0)
    looker = Looker(None, LinkerSettings(camera="flow"), (640, 400))
    looker(wide[:, 0:320].copy(), Boxes.empty())
    sight = looker(wide[:, 5:325].copy(), Boxes.empty(), count=2.5)
    np.testing.assert_allclose(sight.camera, [[1, 0, -10], [0, 1, 0]], atol=0.4)
    assert sight.count == 2.5


def test_the_embedder_is_chosen_by_name(tmp_path):
    assert choose_embedder("none") is None
    assert isinstance(choose_embedder("auto"), Embedder)
    with pytest.raises(InputError, match="no such file"):
        choose_embedder(str(tmp_path / "nowhere.safetensors"))
