import numpy as np
import pytest
import torch

from mot.errors import InputError
from nets.backends import Engine, make_runner
from nets.frame_stack import build_net
from nets.notes import NetNotes
from nets.predict import model_of
from nets.settings import NetSettings


def tiny(**changes):
    torch.manual_seed(0)
    settings = NetSettings(**({"width": 0.125, "neck_channels": 8, "frames": 3} | changes))
    return model_of(build_net(settings).eval(), NetNotes(settings, 64 * 64))


def clip(height=32, width=64, frames=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (1, frames, 3, height, width), dtype=np.uint8)


def test_maps_have_the_contracts_shapes():
    run = make_runner(tiny(), Engine("torch", "cpu", "off"))
    maps = run(clip())
    assert {name: values.shape for name, values in maps.items()} == {
        "density": (1, 3, 1, 8, 16),
        "centre": (1, 3, 1, 8, 16),
        "box": (1, 3, 4, 8, 16),
    }
    assert all(values.dtype == np.float32 for values in maps.values())


@pytest.mark.parametrize(
    ("settings", "sizes_hw"),
    [
        ({"deepest": 8}, ((32, 64), (64, 32))),
        ({"backbone": "resnet18", "fuse": "none", "mixer": True, "deepest": 8}, ((32, 64),)),
    ],
)
def test_openvino_answers_as_torch_does(settings, sizes_hw, recwarn, capfd):
    net = tiny(**settings)
    torch_run = make_runner(net, Engine("torch", "cpu", "off"))
    openvino_run = make_runner(net, Engine("openvino", "cpu", "off"))
    for height, width in sizes_hw:
        expected = torch_run(clip(height, width))
        found = openvino_run(clip(height, width))
        openvino_run(255 - clip(height, width))  # results belong to the caller: this changes none
        assert list(found) == list(expected)
        for name, values in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
    assert not [w for w in recwarn if "Trac" in str(w.category)]
    assert capfd.readouterr().err == ""


def test_bf16_stays_near():
    net = tiny()
    exact = make_runner(net, Engine("torch", "cpu", "off"))(clip())
    coarse = make_runner(net, Engine("torch", "cpu", "on"))(clip())
    for name, values in exact.items():
        np.testing.assert_allclose(coarse[name], values, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("choice", "flag"),
    [({"backend": "tensorrt"}, "--backend"), ({"device": "abacus"}, "--device")],
)
def test_unknown_choices_are_named(choice, flag):
    with pytest.raises(InputError, match=flag):
        make_runner(tiny(), Engine(**({"backend": "auto", "device": "cpu", "amp": "off"} | choice)))
