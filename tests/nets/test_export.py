import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from mot.errors import InputError
from nets import export as exporting
from nets.export_check import Difference, require_near
from nets.export_formats import FORMATS
from nets.notes import Calibration, NetNotes
from nets.predict import Predictor, PredictSettings, load_net
from nets.samples import draw_samples
from nets.weights import load_weights, save_weights
from tests.conftest import complaint

NEEDS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torchscript": ()}
CURVE = Calibration((0.1, 0.9), (0.0, 1.0))


def require(to):
    for package in NEEDS[to]:
        pytest.importorskip(package, reason=f"{package} is not installed")


@pytest.fixture(scope="module")
def calibrated(tiny_weights, tmp_path_factory):
    """The tiny net with a calibration, which must travel too."""
    state, notes = load_weights(tiny_weights)
    path = tmp_path_factory.mktemp("calibrated") / "net.safetensors"
    save_weights(path, state, notes | {"calibration": json.dumps([CURVE.score, CURVE.share])})
    return path


def export(to, weights, out, scene, *more):
    """Run the command; None, or the exit code."""
    path = out if out.suffix else out / f"net{FORMATS[to].suffix}"
    given = ["--to", to, "--weights", weights, "--out", path, "--frames", scene, "--windows", "2"]
    try:
        exporting.main(list(map(str, [*given, *more])))
    except SystemExit as stop:
        return stop.code
    return None


@pytest.mark.parametrize("to", FORMATS)
def test_the_file_says_what_the_weights_say(to, calibrated, scene, tmp_path, capsys):
    require(to)
    assert export(to, calibrated, tmp_path / "net", scene) is None
    files = sorted(path.name for path in (tmp_path / "net").iterdir())
    assert files == sorted(["net" + end for end in (FORMATS[to].suffix, *FORMATS[to].beside)])
    assert "people found" in capsys.readouterr().out
    original = load_net(calibrated)
    exported = load_net(tmp_path / "net" / f"net{FORMATS[to].suffix}")
    assert exported.notes == original.notes and exported.notes.calibration == CURVE
    for px in (64 * 64, 96 * 128):  # height and width are open
        settings = PredictSettings(device="cpu", amp="off", test_px=px)
        mine = Predictor(exported, settings)
        torchs = Predictor(original, replace(settings, backend="torch"))
        [sample, *_] = draw_samples((str(scene),), original.notes, 1, None)
        images = [image for _, image in sample.frames]
        for expected, got in zip(
            torchs.predict_images(images), mine.predict_images(images), strict=True
        ):
            np.testing.assert_allclose(got.density, expected.density, rtol=1e-4, atol=1e-5)
            assert len(got.detections) == len(expected.detections) > 0
            np.testing.assert_allclose(got.detections.ltwh, expected.detections.ltwh, atol=1e-2)
            np.testing.assert_allclose(got.detections.score, expected.detections.score, atol=1e-4)


def test_an_onnx_file_is_read_by_both_runtimes_and_holds_its_weights(calibrated, scene, tmp_path):
    require("onnx")
    import onnx

    path = tmp_path / "net.onnx"
    assert export("onnx", calibrated, path, scene) is None
    graph = onnx.load(str(path), load_external_data=False)
    assert not any(tensor.external_data for tensor in graph.graph.initializer)
    shape = graph.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param or axis.dim_value for axis in shape] == [1, 3, 3, "height", "width"]
    image = np.zeros((48, 64, 3), np.uint8)
    for backend in ("onnx", "openvino"):
        predictor = Predictor(load_net(path), PredictSettings(backend=backend, amp="off"))
        assert predictor.backend == f"{backend} fp32"
        [found] = predictor.predict_images([image])
        [expected] = Predictor(load_net(calibrated), PredictSettings(amp="off")).predict_images(
            [image]
        )
        assert found.count == pytest.approx(expected.count, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_fp16_halves_what_the_weights_take(to, calibrated, scene, tmp_path):
    require(to)
    sizes = []
    for precision in ("fp32", "fp16"):
        folder = tmp_path / precision
        assert export(to, calibrated, folder, scene, "--precision", precision) is None
        path = folder / f"net{FORMATS[to].suffix}"
        weights = FORMATS[to].files(path)[-1]
        sizes.append(weights.stat().st_size)
        assert load_net(path).notes.precision == precision
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "tensorrt"], "--to"),
        (["--to", "torchscript", "--precision", "int8"], "--precision"),
        (["--to", "torchscript", "--tolerance", "-1"], "--tolerance"),
        (["--to", "torchscript", "--out", "net.onnx"], ".torchscript"),
        (["--to", "torchscript", "--frames", "nowhere.mp4"], "nowhere.mp4"),
        (["--to", "torchscript", "--weights", "nowhere.safetensors"], "no such file"),
    ],
)
def test_what_cannot_be_used_ends_in_one_line(
    arguments, message, tiny_weights, scene, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = ["--weights", str(tiny_weights), "--out", "net.torchscript", "--frames", str(scene)]
    with pytest.raises(SystemExit) as stop:
        exporting.main([*given, *arguments])
    assert stop.value.code == 2 and message in complaint(capsys)
    assert not list(tmp_path.glob("net*"))


def test_a_net_that_says_something_else_gets_no_file(tiny_weights, scene, tmp_path, capsys):
    path = tmp_path / "run" / "net.torchscript"
    more = ("--precision", "bf16", "--tolerance", "1e-9")
    assert export("torchscript", tiny_weights, path, scene, *more) == 2
    assert "--tolerance" in complaint(capsys)
    assert list(path.parent.iterdir()) == []


def test_nothing_is_written_over(tiny_weights, scene, tmp_path, capsys):
    (tmp_path / "net.bin").write_text("precious")
    assert export("openvino", tiny_weights, tmp_path / "net.xml", scene) == 2
    assert "net.bin" in complaint(capsys)
    assert (tmp_path / "net.bin").read_text() == "precious"


def test_a_package_that_is_missing_is_named(tiny_weights, scene, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda name: None)
    path = tmp_path / "net.xml"
    assert export("openvino", tiny_weights, path, scene, "--precision", "int8") == 2
    assert "pip install openvino nncf" in complaint(capsys)


def test_nan_is_far_from_everything():
    require_near([Difference("box", 1.0, 1.0, 0.5)], 0.5, "net")
    for worst in (0.6, float("nan")):
        with pytest.raises(InputError, match="box"):
            require_near([Difference("box", 1.0, 1.0, worst)], 0.5, "net")


def foreign_onnx(path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "foreign", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, str(path))


def test_files_of_others_are_refused_in_one_line(tmp_path, calibrated, scene):
    foreign_onnx(tmp_path / "foreign.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "foreign.onnx").read_bytes()[:-20])
    torch.save({"a": torch.zeros(3)}, tmp_path / "pickle.torchscript")
    (tmp_path / "text.torchscript").write_text("text")
    (tmp_path / "text.xml").write_text("text")
    assert export("openvino", calibrated, tmp_path / "net.xml", scene) is None
    (tmp_path / "net.bin").unlink()
    for name, message in (
        ("foreign.onnx", "Footfall net"),
        ("cut.onnx", "a model that"),
        ("pickle.torchscript", "Footfall net"),
        ("text.torchscript", "TorchScript"),
        ("text.xml", "beside it"),
        ("net.xml", "net.bin beside it"),
        ("none.onnx", "no such file"),
    ):
        with pytest.raises(InputError, match=message) as refusal:
            load_net(tmp_path / name)
        assert name in str(refusal.value)


def test_notes_in_a_torchscript_file_are_plain_json(calibrated, scene, tmp_path):
    path = tmp_path / "net.torchscript"
    assert export("torchscript", calibrated, path, scene) is None
    with zipfile.ZipFile(path) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("footfall.json")]
        notes = NetNotes.from_metadata(json.loads(archive.read(name)), path)
    assert notes == load_net(calibrated).notes


def test_an_exported_net_is_no_start_of_another(calibrated, scene, tmp_path, capsys):
    path = tmp_path / "net.torchscript"
    assert export("torchscript", calibrated, path, scene) is None
    assert export("torchscript", path, tmp_path / "again.torchscript", scene) == 2
    assert "weights (.safetensors)" in complaint(capsys)


def test_rendered_frames_have_a_truth(calibrated):
    notes = load_net(calibrated).notes
    samples = draw_samples(("synthetic",), notes, 1, None)
    [sample] = samples
    assert [number for number, _ in sample.frames] == [1, 2, 3]
    assert len(sample.truth) and set(sample.truth.frame) <= {1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_int8_stays_near(to, calibrated, scene, tmp_path):
    require(to)
    pytest.importorskip("nncf", reason="nncf is not installed")
    more = ("--precision", "int8", "--calibrate", str(scene), "--calibrate-windows", "4")
    assert export(to, calibrated, tmp_path / "net", scene, *more) is None
    net = load_net(tmp_path / "net" / f"net{FORMATS[to].suffix}")
    assert net.notes.precision == "int8"
    predictor = Predictor(net, PredictSettings(device="cpu"))
    assert predictor.backend == "openvino int8"
    [found] = predictor.predict_images([np.full((48, 64, 3), 90, np.uint8)])
    assert np.isfinite(found.count)
