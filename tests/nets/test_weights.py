import json
import sys

import pytest
import safetensors.torch
import torch
from torch import nn

from mot.errors import InputError
from nets.backbones import IMAGE_MEAN, build_backbone
from nets.transfer import ImageFormat, inflated, published_name, slots_of
from nets.weights import (
    HALF_FROM_ELEMENTS,
    check_state,
    load_image_weights,
    load_weights,
    save_weights,
    settle_norms,
)

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
CAFFE_INPUT = "BGR 0..255 minus 103.939 116.779 123.68"


def images(frames=1, batch=1):
    generator = torch.Generator().manual_seed(3)
    return 255 * torch.rand(batch, 3 * frames, 33, 49, generator=generator)


def trained(name, deepest=8):
    """A trunk whose normalisations hold statistics, as after a training."""
    torch.manual_seed(5)
    backbone = build_backbone(name, deepest=deepest).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                tensor.data = 0.3 * torch.randn_like(tensor)
            module.weight.data += 1
            module.running_var.uniform_(0.5, 2.0)
    return backbone


def published(backbone):
    """Its tensors as torchvision names them."""
    return {
        published_name(name): value
        for name, value in backbone.state_dict().items()
        if name.startswith("stages")
    }


def folded(backbone):
    """Its tensors with the normalisation folded away, in the order of the layers."""
    tensors = []
    modules = dict(backbone.named_modules())
    for slot in slots_of(backbone):
        conv, norm = modules[slot.conv], modules[slot.norm]
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * factor
        tensors.append((conv.weight * factor.view(-1, 1, 1, 1), bias))
    return tensors


def folded_names(name, deepest):
    bare = build_backbone(name, norm="none", deepest=deepest)
    return [published_name(slot.conv) for slot in slots_of(bare)]


@torch.no_grad()
def outputs(backbone, pictures):
    return backbone.eval()(pictures)


def same(first, second):
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def resnet(folder):
    """A trained ResNet-18 to stride 8 as a torchvision-named file, and folded."""
    backbone = trained("resnet18")
    tensors = published(backbone) | {"fc.weight": torch.zeros(4, 8)}
    save_weights(folder / "normalised.safetensors", tensors)
    pairs = zip(folded_names("resnet18", 8), folded(backbone), strict=True)
    bare = {}
    for name, (weight, bias) in pairs:
        bare |= {f"{name}.weight": weight, f"{name}.bias": bias}
    save_weights(folder / "folded.safetensors", bare)
    return backbone


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("file", ["normalised", "folded"])
def test_a_file_gives_the_same_net_whether_normalised_or_folded(resnet, folder, file, norm):
    backbone = build_backbone("resnet18", norm=norm, deepest=8)
    report = load_image_weights(backbone, folder / f"{file}.safetensors")
    same(outputs(backbone, images()), outputs(resnet, images()))
    assert report.left == ()
    assert report.unused == (("fc.weight",) if file == "normalised" else ())
    assert bool(report.folded) == (file == "folded" and norm == "batch")


def test_settled_normalisations_start_training_from_the_same_function(resnet, folder):
    backbone = build_backbone("resnet18", deepest=4)
    report = load_image_weights(backbone, folder / "folded.safetensors")
    pictures = images(batch=2)
    wanted = outputs(resnet, pictures)[:1]
    before = backbone.train()(pictures)[0]
    assert (before - wanted[0]).abs().max() > 0.5  # unsettled, training is another function
    state = {name: value.clone() for name, value in build_settled_start(folder).items()}
    backbone.load_state_dict(state)
    settle_norms(backbone, pictures, report.folded)
    same(outputs(backbone, pictures), wanted)
    training = backbone.train()(pictures)[0]
    assert (training - wanted[0]).abs().max() < 0.02 * wanted[0].abs().max()


def build_settled_start(folder):
    fresh = build_backbone("resnet18", deepest=4)
    load_image_weights(fresh, folder / "folded.safetensors")
    return fresh.state_dict()


def test_group_normalisation_keeps_its_start_and_says_so(resnet, folder):
    backbone = build_backbone("resnet18", norm="group", deepest=4)
    report = load_image_weights(backbone, folder / "normalised.safetensors")
    assert "stages.0.bn1.weight" in report.left
    torch.testing.assert_close(backbone.stages[0].conv1.weight, resnet.stages[0].conv1.weight)


def test_deeper_stages_than_the_file_are_left_and_reported(resnet, folder):
    backbone = build_backbone("resnet18", deepest=16)
    report = load_image_weights(backbone, folder / "folded.safetensors")
    assert report.left and all("layer3" in name for name in report.left)
    assert "left at random (first stages.2.layer3.0.conv1.weight)" in str(report)


@pytest.mark.parametrize("inflate", ["repeat", "centre"])
def test_equal_frames_give_the_response_of_one(resnet, folder, inflate):
    backbone = build_backbone("resnet18", in_channels=9, norm="none", deepest=4)
    load_image_weights(backbone, folder / "folded.safetensors", frames=3, inflate=inflate)
    same(outputs(backbone, images().repeat(1, 3, 1, 1)), outputs(resnet, images())[:1])


def test_centre_inflation_sees_one_frame_only():
    weight = torch.ones(2, 3, 1, 1)
    seen = inflated(weight, 5, "centre").flatten(1)
    assert seen[0].tolist() == [0] * 6 + [1] * 3 + [0] * 6


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_vgg_for_bgr_images(folder, norm):
    torch.manual_seed(1)
    source = build_backbone("vgg16", norm="none", deepest=4).eval()
    path = folder / "vgg.safetensors"
    save_weights(path, published(source), {"input": CAFFE_INPUT})
    backbone = build_backbone("vgg16", norm=norm, deepest=4)
    load_image_weights(backbone, path)
    rgb = images()
    means = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    with torch.no_grad():
        wanted = source.stages[0](rgb.flip(1) - means)
    torch.testing.assert_close(outputs(backbone, rgb)[0], wanted, rtol=1e-3, atol=1e-2)


def test_vgg_with_torchvisions_biases_before_its_normalisation(folder):
    source = trained("vgg16", deepest=4)
    tensors = published(source)
    bias = torch.randn(64)
    tensors["features.0.bias"] = bias
    tensors["features.1.running_mean"] = tensors["features.1.running_mean"] + bias
    save_weights(folder / "vgg_bn.safetensors", tensors)
    for norm in ("batch", "none"):
        backbone = build_backbone("vgg16", norm=norm, deepest=4)
        load_image_weights(backbone, folder / "vgg_bn.safetensors")
        same(outputs(backbone, images()), outputs(source, images()))


def test_mobilenet_whose_layers_are_numbered(folder):
    source = trained("mobilenetv2", deepest=8)
    source.mean.fill_(127.5)
    source.std.fill_(127.5)
    tensors = {}
    for index, (weight, bias) in enumerate(folded(source)):
        kind = "dw" if weight.shape[1] == 1 else "conv"
        tensors |= {f"{index:02}_{kind}_w": weight, f"{index:02}_{kind}_b": bias}
    path = folder / "mobilenet.safetensors"
    save_weights(path, tensors, {"input": "RGB (x-127.5)/127.5, SAME padding"})
    for norm in ("batch", "none"):
        backbone = build_backbone("mobilenetv2", norm=norm, deepest=8)
        assert load_image_weights(backbone, path).left == ()
        same(outputs(backbone, images()), outputs(source, images()))


def test_osnet_takes_its_authors_names_gates_included(folder):
    whole = trained("osnet", 16)
    safetensors.torch.save_file(published(whole), folder / "osnet.safetensors")
    for norm in ("batch", "none"):
        other = build_backbone("osnet", norm=norm)
        report = load_image_weights(other, folder / "osnet.safetensors")
        assert not report.left and not report.unused
        same(outputs(whole, images()), outputs(other, images()))


@pytest.mark.parametrize("name", ["osnet", "small"])
def test_trunks_without_weights_of_torchvision_say_so(name):
    with pytest.raises(InputError, match=f"a trunk that torchvision has: .*, got {name}"):
        load_image_weights(build_backbone(name, deepest=4), "imagenet")


def test_gates_keep_their_start_beside_the_weights_of_a_plain_resnet(folder):
    source = trained("resnet50", deepest=4)
    save_weights(folder / "resnet50.safetensors", published(source))
    backbone = build_backbone("seresnet50", deepest=4)
    report = load_image_weights(backbone, folder / "resnet50.safetensors")
    assert report.left and all(".se." in name for name in report.left)
    name = "stages.0.layer1.2.bn3.running_var"
    torch.testing.assert_close(backbone.state_dict()[name], source.state_dict()[name])


def test_a_file_of_our_own_gives_its_trunk(resnet, folder):
    own = {f"trunk.{name}": value for name, value in resnet.state_dict().items()}
    own["trunk.mean"] = torch.full((1, 3, 1, 1), 100.0)
    save_weights(folder / "own.safetensors", own | {"heads.x": torch.ones(1)})
    backbone = build_backbone("resnet18", in_channels=6, deepest=4)
    report = load_image_weights(backbone, folder / "own.safetensors", frames=2)
    assert report.left == () and float(backbone.mean[0, 0]) == 100
    wanted = resnet.stages[0].layer1[1].conv2.weight
    torch.testing.assert_close(backbone.stages[0].layer1[1].conv2.weight, wanted)
    with pytest.raises(InputError, match="norm none, got a tensor stages.0.bn1"):
        load_image_weights(
            build_backbone("resnet18", norm="none", deepest=4), folder / "own.safetensors"
        )


def test_foreign_weights_change_nothing(resnet, folder):
    for name, deepest in (("mobilenetv2", 4), ("resnet50", 4)):
        backbone = build_backbone(name, deepest=deepest)
        before = {key: value.clone() for key, value in backbone.state_dict().items()}
        with pytest.raises(InputError):
            load_image_weights(backbone, folder / "normalised.safetensors")
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, before[key])


def test_refusals(resnet, folder, monkeypatch):
    narrow = build_backbone("resnet18", width=0.5, deepest=4)
    with pytest.raises(InputError, match="--width 1"):
        load_image_weights(narrow, folder / "folded.safetensors")
    with pytest.raises(InputError, match="--width 1"):
        load_image_weights(narrow, "imagenet")
    whole = build_backbone("resnet18", deepest=4)
    with pytest.raises(InputError, match="trunk for 15 channels"):
        load_image_weights(whole, "none", frames=5)
    with pytest.raises(InputError, match="--inflate"):
        load_image_weights(whole, "none", inflate="sideways")
    assert len(load_image_weights(whole, "none").left) == len(list(whole.parameters()))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(InputError, match="--weights FILE"):
        load_image_weights(whole, "imagenet")


@pytest.mark.parametrize(
    "note, mean, std, bgr",
    [
        (None, IMAGE_MEAN, (58.395, 57.12, 57.375), False),
        (
            "RGB/255, mean .485 .456 .406, std .229 .224 .225",
            IMAGE_MEAN,
            (58.395, 57.12, 57.375),
            False,
        ),
        ("RGB (x-127.5)/127.5, SAME", (127.5,) * 3, (127.5,) * 3, False),
        (CAFFE_INPUT, (123.68, 116.779, 103.939), (1.0,) * 3, True),
    ],
)
def test_notes_on_the_input(note, mean, std, bgr):
    form = ImageFormat.parse(note, "file")
    assert form.mean == pytest.approx(mean)
    assert form.std == pytest.approx(std)
    assert form.bgr is bgr


def test_an_unknown_note_is_refused():
    with pytest.raises(InputError, match="input note"):
        ImageFormat.parse("whitened", "file")


def test_weights_come_back_with_their_notes(tmp_path):
    path = tmp_path / "deep" / "net.safetensors"
    state = {
        "conv": torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last),
        "count": torch.tensor(7),
        "flag": torch.tensor(True),
    }
    notes = {"settings": json.dumps({"frames": 5})}
    save_weights(path, state, notes)
    loaded, metadata = load_weights(path)
    assert metadata == notes
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_half_precision_keeps_small_tensors_and_large_values(tmp_path):
    size = HALF_FROM_ELEMENTS
    state = {
        "weight": torch.full((size,), 0.1),
        "huge": torch.full((size,), 1e6),
        "running_var": torch.full((64,), 0.1),
    }
    save_weights(tmp_path / "half.safetensors", state, half=True)
    stored = safetensors.torch.load_file(tmp_path / "half.safetensors")
    assert [stored[name].dtype for name in state] == [torch.float16, torch.float32, torch.float32]
    loaded, _ = load_weights(tmp_path / "half.safetensors")
    assert all(value.dtype == torch.float32 for value in loaded.values())
    torch.testing.assert_close(loaded["weight"], state["weight"], rtol=1e-3, atol=0)


def test_the_largest_tensors_fit_in_bytes_with_a_scale_per_channel(tmp_path):
    large = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0))
    large[1] *= 1e-4  # a channel of small weights keeps its own scale
    large[2] = 0
    state = {"large": large, "bias": torch.randn(1024), "kernel": torch.randn(64, 64)}
    path = tmp_path / "net.safetensors"
    save_weights(path, state, bytes_for_largest=True)
    assert path.stat().st_size < 1.05 * (large.numel() + 4 * (1024 + 1024 + 64 * 64))
    loaded, _ = load_weights(path)
    assert loaded.keys() == state.keys()
    step = large.abs().amax(dim=1, keepdim=True) / 127
    assert bool(((loaded["large"] - large).abs() <= 0.501 * step).all())
    for name in ("bias", "kernel"):
        torch.testing.assert_close(loaded[name], state[name], rtol=0, atol=0)


def test_a_tensor_in_bytes_needs_its_scale(tmp_path):
    path = tmp_path / "net.safetensors"
    levels, scale = torch.ones(4, 3, dtype=torch.int8), torch.ones(5)
    for tensors in ({"a": levels, "a.int8_scale": scale}, {"a.int8_scale": scale}):
        safetensors.torch.save_file(tensors, path)
        with pytest.raises(InputError, match="a in int8 with a scale per output channel"):
            load_weights(path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.safetensors"
    save_weights(path, {"a": torch.ones(2)})
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28)))
    with pytest.raises(OSError):
        save_weights(path, {"a": torch.zeros(2)})
    assert load_weights(path)[0]["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(InputError, match="no such file"):
        load_weights(path)
    with pytest.raises(InputError, match="no such file"):
        load_weights(tmp_path)
    torch.save({"a": torch.ones(3)}, path)
    with pytest.raises(InputError, match="expected a safetensors file, got a pickle"):
        load_weights(path)
    save_weights(path, {"a": torch.ones(300)})
    content = path.read_bytes()
    for length in (0, 5, 30, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"a file cut off at {length} bytes"):
            load_weights(path)
    path.write_bytes(b"no weights at all, but a text")
    with pytest.raises(InputError, match="safetensors"):
        load_weights(path)
    save_weights(path, {"fine": torch.ones(2), "bad": torch.tensor([1.0, float("nan")])})
    with pytest.raises(InputError, match="NaN or infinity in bad"):
        load_weights(path)


def test_the_first_tensor_that_differs_is_named():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = net.state_dict()
    check_state(net, state)
    with pytest.raises(InputError, match=r"f: expected 1.weight of shape \(2, 4\), got shape \(1,"):
        check_state(net, state | {"1.weight": torch.ones(1, 4)}, where="f")
    with pytest.raises(InputError, match="0.bias of shape .* got no such tensor"):
        check_state(net, {name: value for name, value in state.items() if name != "0.bias"})
    with pytest.raises(InputError, match="got also extra"):
        check_state(net, state | {"extra": torch.ones(1)})
