"""Several nets averaged."""

import numpy as np
import pytest

from mot.errors import InputError
from nets.averaged import averaged
from nets.menu import build_net
from nets.predict import Predictor, PredictSettings, load_net
from nets.runner import Runner
from nets.settings import NetSettings
from nets.weights import save_weights


def answering(density, box):
    maps = {"density": np.full((1, 1, 1, 2, 2), density), "box": np.full((1, 1, 4, 2, 2), box)}
    return Runner("net", lambda batch: {k: v.astype(np.float32) for k, v in maps.items()}, 2)


def test_maps_are_averaged_and_distances_as_logarithms():
    net = averaged([(1, answering(1.0, 2.0)), (1, answering(4.0, 8.0)), (1, answering(7.0, 32.0))])
    assert (net.name, net.parallel) == ("net, mean of 3 nets", 2)
    maps = net(np.zeros((1, 1, 3, 8, 8), np.uint8))
    np.testing.assert_allclose(maps["density"], 4.0)
    np.testing.assert_allclose(maps["box"], 8.0, rtol=1e-6)
    assert {values.dtype for values in maps.values()} == {np.dtype(np.float32)}


def test_a_net_that_counts_twice_is_asked_once():
    calls = []
    one = answering(1.0, 2.0)

    def asked(batch):
        calls.append(1)
        return one(batch)

    net = averaged([(2, Runner("net", asked)), (1, answering(7.0, 16.0))])
    maps = net(np.zeros((1, 1, 3, 8, 8), np.uint8))
    assert (net.name, len(calls)) == ("net, mean of 3 nets", 1)
    np.testing.assert_allclose(maps["density"], 3.0)
    np.testing.assert_allclose(maps["box"], 4.0, rtol=1e-6)


def saved(path, seed, **changes):
    import torch

    torch.manual_seed(seed)
    settings = NetSettings(width=0.125, neck_channels=8, **{"frames": 2} | changes)
    metadata = {"settings": settings.to_json(), "labelrate": "30", "test_px": "4096"}
    save_weights(path, build_net(settings).state_dict(), metadata)
    return str(path)


def test_a_predictor_averages_what_its_nets_say(tmp_path):
    one, other = (saved(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))
    images = [np.random.default_rng(k).integers(0, 256, (64, 64, 3), np.uint8) for k in (1, 2)]

    def density(weights, **settings):
        chosen = PredictSettings(backend="torch", amp="off", device="cpu", **settings)
        found = Predictor(load_net(weights), chosen).predict_images(images)
        return np.stack([prediction.density for prediction in found])

    apart = [density(one), density(other)]
    assert not np.allclose(*apart)
    np.testing.assert_allclose(density(one, beside=(other,)), np.mean(apart, axis=0), rtol=1e-5)
    thrice = (apart[0] + 2 * apart[1]) / 3
    np.testing.assert_allclose(density(one, beside=[other, other]), thrice, rtol=1e-5)


def test_nets_of_another_shape_are_refused(tmp_path):
    one = saved(tmp_path / "1.safetensors", 1)
    other = saved(tmp_path / "2.safetensors", 2, frames=3)
    with pytest.raises(InputError, match=r"expected T 2, stride 4, heads.*got T 3, stride 4"):
        Predictor(load_net(one), PredictSettings(beside=(other,)))
