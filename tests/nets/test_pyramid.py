import numpy as np
import pytest

from mot.errors import InputError
from nets.mirrored import mirrored
from nets.predict import Predictor, PredictSettings, load_net
from nets.pyramid import pyramid
from nets.runner import Runner


def seen(batch):
    """A net that finds the light: mass, a peak, and a box of the frame's own size."""
    cells = batch[:, :, :1, ::4, ::4].astype(np.float32)
    height, width = batch.shape[-2:]
    whole = np.ones_like(cells)
    box = np.concatenate([whole * side for side in (width, height, width, height)], axis=2)
    motion = np.concatenate([whole * width / 8, whole * height / 8], axis=2)
    return {"density": cells / cells.sum(), "centre": cells, "box": box, "motion": motion}


def frames(height, width):
    batch = np.zeros((1, 2, 3, height, width), np.uint8)
    batch[..., height // 4 : height // 2, width // 4 : width // 2] = 200
    return batch


@pytest.mark.parametrize("factors", [(0.5,), (2.0,), (0.5, 1.5), (0.7,)])
def test_sizes_agree_where_the_net_does(factors):
    batch = frames(128, 192)
    net = pyramid(dict.fromkeys((1.0, *factors), Runner("plain", seen, parallel=3)))
    assert net.parallel == 3
    maps, plain = net(batch), seen(batch)
    for name in ("box", "motion"):
        np.testing.assert_allclose(maps[name], plain[name], rtol=1e-5)
    np.testing.assert_allclose(maps["density"].sum(), plain["density"].sum(), rtol=1e-5)
    for name, each in maps.items():
        assert each.shape == plain[name].shape
        assert each.dtype == np.float32
    peak = np.unravel_index(maps["centre"][0, 0, 0].argmax(), maps["centre"].shape[-2:])
    assert plain["centre"][0, 0, 0][peak] == 200


def test_each_size_is_asked_of_its_own_runner_on_the_grid():
    sizes = []

    def asked(batch):
        sizes.append(batch.shape[-2:])
        return seen(batch)

    pyramid({1.0: Runner("one", seen), 0.7: Runner("other", asked)})(frames(128, 192))
    assert sizes == [(96, 128)]


@pytest.mark.parametrize("factor", [1.4, 2.0, 3.0, 4.0])
def test_nobody_is_lost_in_a_larger_look(factor):
    def two_people(batch):
        """One cell each, wherever the looks' grids meet."""
        rows, columns = (side // 4 for side in batch.shape[-2:])
        density = np.zeros((1, 1, 1, rows, columns), np.float32)
        density[..., rows // 3, columns // 5] = density[..., rows // 2, 4 * columns // 5] = 1
        return {"density": density}

    batch = np.zeros((1, 1, 3, 96, 160), np.uint8)
    maps = pyramid({1.0: Runner("one", two_people), factor: Runner("two", two_people)})(batch)
    left, right = np.split(maps["density"][0, 0, 0], 2, axis=1)
    assert left.sum() == pytest.approx(1)
    assert right.sum() == pytest.approx(1)


def test_a_predictor_looks_at_all_sizes_and_at_mirror_images(tiny_weights):
    net = load_net(tiny_weights)
    chosen = {"backend": "torch", "device": "cpu", "amp": "off"}
    frames = np.random.default_rng(1).integers(0, 256, (1, 3, 3, 64, 96), np.uint8)
    plain = Predictor(net, PredictSettings(**chosen)).runner
    by_hand = mirrored(pyramid({1.0: plain, 0.5: plain}))(frames)
    whole = Predictor(net, PredictSettings(scales=[0.5], flip=True, **chosen)).runner(frames)
    assert not np.allclose(whole["density"], plain(frames)["density"])
    for name, each in whole.items():
        np.testing.assert_allclose(each, by_hand[name], rtol=1e-4, atol=1e-6)


def test_a_frame_without_people_stays_empty():
    def nothing(batch):
        return {"density": np.zeros((1, 2, 1, *(side // 4 for side in batch.shape[-2:])), "f4")}

    maps = pyramid({1.0: Runner("one", nothing), 0.5: Runner("two", nothing)})(frames(64, 64))
    assert (maps["density"] == 0).all()


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 0.5), (0.01,), (9.0,)])
def test_factors_that_make_no_sense_are_refused(scales):
    with pytest.raises(InputError, match="scales"):
        PredictSettings(scales=scales)
