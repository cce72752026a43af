import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from mot.errors import InputError
from nets.backends import RUNNERS, Engine, make_runner, read_metadata
from nets.menu import build_net
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


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize(
    ("settings", "sizes_hw"),
    [
        ({"deepest": 8}, ((32, 64), (64, 32))),
        ({"backbone": "resnet18", "fuse": "none", "mixer": True, "deepest": 8}, ((32, 64),)),
    ],
)
def test_others_answer_as_torch_does(backend, settings, sizes_hw, recwarn, capfd):
    pytest.importorskip(RUNNERS[backend].package, reason=f"{backend} is not installed")
    net = tiny(**settings)
    torch_run = make_runner(net, Engine("torch", "cpu", "off"))
    other_run = make_runner(net, Engine(backend, "cpu", "off"))
    for height, width in sizes_hw:
        expected = torch_run(clip(height, width))
        found = other_run(clip(height, width))
        other_run(255 - clip(height, width))  # results belong to the caller: this changes none
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


def without(monkeypatch, *packages):
    """Let packages look as if they were not installed."""
    find = importlib.util.find_spec
    hidden = {name: None for name in packages}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: find(name) if name not in hidden else None
    )


def test_auto_is_the_fastest_that_is_installed_and_says_so(monkeypatch):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    names = []
    for hidden in ((), ("openvino",), ("openvino", "onnxruntime")):
        without(monkeypatch, *hidden)
        names.append(make_runner(tiny(), Engine("auto", "cpu", "off")).name)
    assert names == ["openvino fp32", "onnx fp32", "torch fp32"]


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_backend_that_is_not_installed_is_named(monkeypatch, backend):
    package = RUNNERS[backend].package
    without(monkeypatch, package)
    with pytest.raises(InputError, match=f"pip install {package}"):
        make_runner(tiny(), Engine(backend, "cpu", "off"))


def test_a_file_that_nothing_reads_says_what_to_install(monkeypatch, tmp_path):
    without(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(InputError, match="openvino or onnxruntime"):
        read_metadata(tmp_path / "net.onnx")


def test_a_file_is_refused_by_a_backend_that_cannot_read_it(tmp_path):
    model = replace(tiny(), source=tmp_path / "net.xml")
    with pytest.raises(InputError, match="--backend torch"):
        make_runner(model, Engine("torch", "cpu", "off"))


def test_onnx_has_no_bf16():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with pytest.raises(InputError, match="--amp"):
        make_runner(tiny(), Engine("onnx", "cpu", "on"))


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_batches_at_once_do_not_mix(backend):
    pytest.importorskip(RUNNERS[backend].package, reason=f"{backend} is not installed")
    run = make_runner(tiny(), Engine(backend, "cpu", "off"))
    clips = [clip() // (k + 1) for k in range(8)]
    alone = [run(c)["density"] for c in clips]
    with ThreadPoolExecutor(4) as pool:
        together = [maps["density"] for maps in pool.map(run, clips)]
    for mine, theirs in zip(alone, together, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_the_first_batches_of_a_process_may_come_at_once():
    pytest.importorskip("openvino", reason="openvino is not installed")
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from nets.backends import Engine, make_runner\n"
        "from tests.nets.test_backends import clip, tiny\n"
        "run = make_runner(tiny(), Engine('openvino', 'cpu', 'off'))\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    print(len(list(pool.map(run, [clip()] * 8))))\n"
    )
    for _ in range(3):  # a hang is a matter of chance
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
        )
        assert done.stdout.strip() == "8"
