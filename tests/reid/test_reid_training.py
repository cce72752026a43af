"""Training and scoring of a tiny embedder on coloured blocks, through the commands."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from mot.errors import InputError
from reid import eval as scoring
from reid import train as training
from reid.crops import crop_name, read_crops
from reid.embedder import Embedder, EmbedderSettings, embed, load_embedder
from reid.job import STUCK_ROWS, margin_watch
from reid.losses import ReidLossSettings
from reid.sampler import CropBatches, SamplerSettings

SIZE = (32, 16)
TINY = ["--width", "0.125", "--channels", "16", "--size", "32", "16", "--device", "cpu"]
TINY += ["--people", "4", "--crops", "2", "--workers", "0", "--amp", "off", "--log-every", "5"]


def write_people(folder, people, cameras=2, shots=3):
    """Everybody wears two colours of their own; noise tells the shots apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(1, people + 1):
        rng = np.random.default_rng(person)
        shirt, trousers = rng.integers(30, 225, (2, 3))
        for camera in range(1, cameras + 1):
            for shot in range(shots):
                image = np.zeros((*SIZE, 3))
                image[:16], image[16:] = shirt, trousers
                image += rng.normal(0, 8, image.shape)
                name = crop_name(person, camera, shot)
                cv2.imwrite(str(folder / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
    return folder


@pytest.fixture
def people(tmp_path):
    return write_people(tmp_path / "people", 6)


def run(command, *arguments):
    try:
        command.main(list(map(str, arguments)))
    except SystemExit as stop:
        return stop.code
    return None


def test_train_then_score(people, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ("--data", people, *TINY, "--out", out)
    assert run(training, *arguments, "--max-steps", 40, "--lr", 3e-3) is None
    log = pd.read_csv(out / "log.csv")
    assert log.loss.iloc[-1] < log.loss.iloc[0]
    assert {"triplet_loss", "class_loss", "distance", "accuracy"} <= set(log.columns)
    assert all((out / name).is_file() for name in ("config.yaml", "curves.png", "checkpoint.pt"))
    capsys.readouterr()
    weights = out / "weights.safetensors"
    assert run(scoring, "--data", people, "--weights", weights, "--json") is None
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"rank1", "rank5", "rank10", "mAP", "mINP", "queries"}
    assert scores["rank1"] == 1 and scores["mAP"] > 0.8 and scores["queries"] == 12
    more = ("--multi-query", "--rerank")
    assert run(scoring, "--data", people, "--weights", weights, *more) is None
    assert "mAP" in capsys.readouterr().out


def test_batches_hold_p_people_with_k_crops_and_depend_on_the_number_alone(people):
    settings = SamplerSettings(people=4, crops=2)
    batches = CropBatches(read_crops(people), settings, size_hw=SIZE, seed=1, count=3)
    images, identity = batches[2]
    assert images.shape == (8, 3, *SIZE) and images.dtype == torch.uint8
    assert sorted(np.unique(identity, return_counts=True)[1]) == [2, 2, 2, 2]
    assert all(torch.equal(a, b) for a, b in zip(batches[2], (images, identity), strict=True))
    assert not torch.equal(batches[1][0], images)


def test_more_people_than_the_data_has_are_refused(people):
    settings = SamplerSettings(people=7, crops=2)
    with pytest.raises(InputError, match="--people"):
        CropBatches(read_crops(people), settings, size_hw=SIZE, seed=1)


def test_a_person_with_one_crop_is_seen_several_times(tmp_path):
    lonely = read_crops(write_people(tmp_path / "few", 3, cameras=1, shots=1))
    batches = CropBatches(lonely, SamplerSettings(people=3, crops=4), size_hw=SIZE, seed=1)
    assert len(batches[0][0]) == 12


def test_embeddings_have_length_1_and_mirror_images_are_the_same():
    torch.manual_seed(0)
    net = Embedder(EmbedderSettings(width=0.125, channels=16, size=SIZE)).eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    found = embed(net, crops)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embed(net, crops[:, :, ::-1]), found, atol=1e-5)
    assert embed(net, []).shape == (0, 16)


def test_weights_of_another_net_are_refused(tiny_weights):
    with pytest.raises(InputError, match="embedder"):
        load_embedder(tiny_weights)


@pytest.mark.parametrize(("margin", "level"), [(0.3, 0.3), (0.0, 0.6931)])
def test_a_loss_that_stands_at_the_margin_is_named_once(margin, level):
    watch = margin_watch(ReidLossSettings(margin=margin))
    said = [watch(k, {}, {"triplet_loss": level}) for k in range(3 * STUCK_ROWS)]
    assert [k for k, words in enumerate(said) if words] == [STUCK_ROWS - 1]
    healthy = margin_watch(ReidLossSettings(margin=margin))
    assert not any(healthy(k, {}, {"triplet_loss": level * 0.8}) for k in range(30))
