import numpy as np

from nets.mirrored import mirrored
from nets.runner import Runner


def seen_by_a_biased_net(batch):
    """Maps that follow the frame's light, but lean to the right by a cell and drift by column."""
    light = batch[:, :, :1, ::4, ::4].astype(np.float32)
    column = np.arange(light.shape[-1], dtype=np.float32)
    left, right = light + 1, 4 * light + 9
    box = np.concatenate([left, light + 2, right, light + 3], axis=2)
    motion = np.concatenate([light, light + 5], axis=2)
    return {
        "density": np.roll(light, 1, -1) + column,
        "centre": light,
        "box": box,
        "motion": motion,
    }


def test_a_mirrored_net_is_fair_to_left_and_right():
    rng = np.random.default_rng(0)
    frames = rng.integers(1, 200, (1, 2, 3, 16, 32), np.uint8)
    net = mirrored(Runner("biased", seen_by_a_biased_net, parallel=2))
    assert (net.name, net.parallel) == ("biased, mirrored", 2)
    maps, turned = net(frames), net(np.ascontiguousarray(frames[..., ::-1]))
    for name in maps:
        assert maps[name].shape == turned[name].shape
        assert maps[name].dtype == np.float32
    np.testing.assert_allclose(maps["density"], turned["density"][..., ::-1])
    np.testing.assert_allclose(maps["box"], turned["box"][:, :, [2, 1, 0, 3], :, ::-1], rtol=1e-6)
    np.testing.assert_allclose(maps["motion"][:, :, 0], -turned["motion"][:, :, 0, :, ::-1])
    np.testing.assert_allclose(maps["motion"][:, :, 1], turned["motion"][:, :, 1, :, ::-1])


def test_means_by_hand():
    light = np.zeros((1, 1, 3, 4, 8), np.uint8)
    light[..., 4:] = 100  # right cell bright, left cell dark
    maps = mirrored(Runner("biased", seen_by_a_biased_net))(light)
    straight = seen_by_a_biased_net(light)
    other = seen_by_a_biased_net(light[..., ::-1])
    assert maps["density"][0, 0, 0, 0].tolist() == [
        (straight["density"][0, 0, 0, 0, 0] + other["density"][0, 0, 0, 0, 1]) / 2,
        (straight["density"][0, 0, 0, 0, 1] + other["density"][0, 0, 0, 0, 0]) / 2,
    ]
    # Dark cell: 1 to the left and 9 to the right, in the mirror the other way round.
    np.testing.assert_allclose(maps["box"][0, 0, :, 0, 0], [3, 2, 3, 3])
