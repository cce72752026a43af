"""Training and scoring of a tiny embedder on coloured blocks, through the commands."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from mot.errors import InputError
from nets.weights import load_weights
from reid import eval as scoring
from reid import train as training
from reid.crop_store import write_store
from reid.crops import GALLERY, QUERY, TRAIN, read_crops, training_crops
from reid.embedder import Embedder, EmbedderSettings, embed, load_embedder
from reid.job import STUCK_ROWS, Learner, margin_watch
from reid.losses import ReidLossSettings
from reid.sampler import CropBatches, SamplerSettings, occluded
from reid.worst import SHOWN, TILE_HW
from tests.reid.conftest import SIZE, TINY, run, write_people


@pytest.fixture
def people(tmp_path):
    return write_people(tmp_path / "people", 6)


def test_train_then_score(people, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ("--data", people, *TINY, "--out", out)
    assert run(training, *arguments, "--max-steps", 40, "--lr", 3e-3) is None
    log = pd.read_csv(out / "log.csv")
    half = len(log) // 2  # a row is one small batch, whose loss scatters
    assert log.loss[half:].mean() < log.loss[:half].mean()
    assert {"triplet_loss", "class_loss", "distance", "accuracy"} <= set(log.columns)
    assert all((out / name).is_file() for name in ("config.yaml", "curves.png", "checkpoint.pt"))
    capsys.readouterr()
    weights = out / "weights.safetensors"
    assert run(scoring, "--data", people, "--weights", weights, "--json") is None
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"rank1", "rank5", "rank10", "mAP", "mINP", "queries"}
    assert scores["rank1"] == 1 and scores["mAP"] > 0.8 and scores["queries"] == 12
    more = ("--multi-query", "--rerank", "--worst", tmp_path / "worst.png", "--worst-count", 3)
    assert run(scoring, "--data", people, "--weights", weights, *more) is None
    assert "mAP" in capsys.readouterr().out
    picture = cv2.imread(str(tmp_path / "worst.png"))
    assert picture.shape[0] > 3 * TILE_HW[0] and picture.shape[1] > (1 + SHOWN) * TILE_HW[1]
    assert run(scoring, "--data", store_of(people), "--weights", weights, "--json") is None
    assert json.loads(capsys.readouterr().out)["queries"] == len(read_crops(people))


def store_of(folder):
    """The crops of a flat folder as one HDF5 file, all of them queries, gallery and training."""
    crops = read_crops(folder)
    count = len(crops)
    columns = {"split": np.repeat([TRAIN, QUERY, GALLERY], count).tolist()}
    columns |= {name: np.tile(getattr(crops, name), 3) for name in ("identity", "camera")}
    path = folder.parent / "crops.h5"
    with write_store(path, columns, SIZE) as put:
        for row, image in enumerate(3 * crops.images):
            put(row, image.read(SIZE))
    return path


def batches_of(crops, settings):
    return CropBatches(crops, settings, size_hw=SIZE, seed=1, count=2)


def test_a_run_may_start_from_the_trunk_of_another_and_save_half_the_bytes(people, tmp_path):
    common = ("--data", people, *TINY, "--max-steps", 2)
    first, second = (tmp_path / name / "weights.safetensors" for name in ("one", "two"))
    assert run(training, *common, "--out", first.parent) is None
    more = ("--weights", first, "--half", "--freeze", 3, "--seed", 2, "--out", second.parent)
    assert run(training, *common, *more) is None
    (start, _), (end, _) = load_weights(first), load_weights(second)
    convolutions = [n for n, v in start.items() if n.startswith("trunk.") and v.ndim == 4]
    assert convolutions
    for name in convolutions:
        torch.testing.assert_close(start[name], end[name].float(), atol=1e-3, rtol=1e-3)
    assert second.stat().st_size < first.stat().st_size


def test_an_hdf5_file_gives_the_batches_of_its_folder(people):
    settings = SamplerSettings(people=4, crops=2)
    stored, listed = training_crops(store_of(people)), read_crops(people)
    for number in range(2):
        pairs = zip(*(batches_of(c, settings)[number] for c in (stored, listed)), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


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


def test_somebody_in_front_covers_up_to_half_of_a_crop_from_one_side():
    person, other = np.zeros((40, 20, 3), np.uint8), np.full((40, 20, 3), 255, np.uint8)
    for seed in range(20):
        seen = occluded(person, other, np.random.default_rng(seed))[..., 0] > 0
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        assert 4 <= len(columns) <= 10 and (columns[0] == 0) != (columns[-1] == 19)
        assert rows[-1] == 39 and 28 <= len(rows) == rows[-1] - rows[0] + 1
        assert seen.sum() == len(rows) * len(columns)
    assert not person.any()


def test_only_other_people_stand_in_front(people):
    plain = {"people": 3, "crops": 2, "flip": False, "colour": 0.0, "erase_share": 0.0}
    settings = SamplerSettings(**plain, occlude_share=1.0)
    batches = CropBatches(read_crops(people), settings, size_hw=SIZE, seed=1)
    shown, _ = batches[0]
    again, _ = batches[0]
    assert torch.equal(shown, again)
    bare, _ = CropBatches(read_crops(people), SamplerSettings(**plain), size_hw=SIZE, seed=1)[0]
    assert not torch.equal(shown, bare)


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


def test_stripes_follow_the_whole_crop_from_the_top_and_have_classifiers_of_their_own():
    settings = EmbedderSettings(width=0.125, channels=16, stripes=2, size=SIZE)
    assert settings.pieces == (16, 8, 8)
    net = Embedder(settings).eval()
    powers = torch.zeros(1, 4, 6, 2)
    powers[:, :, :3] = 8.0  # the generalised mean's third power: 2 in the upper half
    torch.testing.assert_close(net._pool(powers, 2), torch.tensor([2.0, 0.0]).expand(1, 4, 2))
    crops = np.zeros((2, *SIZE, 3), np.uint8)
    assert embed(net, crops).shape == (2, 32)
    learner = Learner(net, 5, ReidLossSettings()).eval()
    images = torch.rand(3, 3, *SIZE) * 255
    _, before = learner(images)
    with torch.no_grad():
        net.stripes[1].weight.mul_(-1)
    _, after = learner(images)
    changed = [not torch.equal(before[..., k], after[..., k]) for k in range(3)]
    assert changed == [False, False, True]


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv2", "small"])
def test_a_last_stride_of_1_doubles_the_last_map_and_keeps_the_weights(backbone):
    shape = {"backbone": backbone, "width": 0.125, "channels": 16, "size": SIZE}
    coarse = Embedder(EmbedderSettings(**shape)).eval()
    fine = Embedder(EmbedderSettings(**shape, last_stride=1)).eval()
    fine.load_state_dict(coarse.state_dict())
    images = torch.rand(2, 3, *SIZE) * 255
    maps = [net.trunk(images)[-1] for net in (coarse, fine)]
    assert maps[1].shape[2:] == tuple(2 * side for side in maps[0].shape[2:])


def test_a_last_stride_of_1_is_refused_where_the_trunk_pools():
    with pytest.raises(InputError, match="--last-stride"):
        Embedder(EmbedderSettings(backbone="vgg16", width=0.125, last_stride=1))


def test_stripes_that_do_not_divide_the_embedding_are_refused():
    with pytest.raises(InputError, match="stripes"):
        EmbedderSettings(channels=16, stripes=3)


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
