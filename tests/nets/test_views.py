"""The nets over planes of time: side, top and triplane."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mot.errors import InputError
from nets.backends import Engine, make_runner
from nets.heads import CHANNELS
from nets.menu import build_net
from nets.notes import NetNotes
from nets.planes import PlaneConv
from nets.predict import Predictor, PredictSettings, load_net, model_of
from nets.settings import NetSettings
from nets.start import start_from
from nets.triplane import TriPlaneConv
from nets.weights import save_weights

VIEWS = ("side", "top", "triplane")


def tiny(net, *, seed=0, **changes):
    """A small net whose blocks do something, as after a training."""
    values = {"width": 0.125, "neck_channels": 8, "frames": 4, "strip": 4, "view_channels": 4}
    torch.manual_seed(seed)
    built = build_net(NetSettings(net=net, **values | changes)).eval()
    for name, parameter in built.named_parameters():
        if name.endswith("expand.weight"):
            torch.nn.init.normal_(parameter, std=0.5)
    return built


def clips(frames=4, batch=1, height=33, width=50, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(batch, frames, 3, height, width, generator=generator)


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_maps_of_any_length_and_size_have_the_shapes_of_the_contract(net, stride):
    built = tiny(net, stride=stride, heads=("density", "centre", "box", "motion"))
    for frames, height, width in ((4, 32, 64), (1, 33, 50), (7, 17, 31)):
        cells = (math.ceil(height / stride), math.ceil(width / stride))
        maps = built(clips(frames, 2, height, width))
        assert {name: tuple(value.shape) for name, value in maps.items()} == {
            name: (2, frames, CHANNELS[name], *cells) for name in built.settings.heads
        }


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_before_training_frames_know_nothing_of_each_other(net):
    torch.manual_seed(0)
    built = build_net(NetSettings(net=net, width=0.125, neck_channels=8, frames=3)).eval()
    frames, order = clips(3), [2, 0, 1]
    turned = built(frames[:, order])["density"]
    torch.testing.assert_close(turned, built(frames)["density"][:, order])


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_a_block_that_starts_a_frame_later_says_the_same_inside_and_nearly_so_at_its_ends(net):
    built = tiny(net, view_blocks=3)
    film = clips(13)
    early, late = (built(film[:, start : start + 12])["centre"][0] for start in (0, 1))
    change = (early[1:] - late[:-1]).abs().amax(dim=(1, 2, 3))  # of frames 1 to 11 of the film
    inside = change[3:-3]  # three blocks see three frames to either side
    assert inside.max() < 1e-4
    assert change[0] > 1e-4 and change[-1] > 1e-4  # the test would see a border
    # A frame at an end has others beyond it in one of the two: no more than frames differ anyway.
    neighbours = (early[1:] - early[:-1]).abs().amax(dim=(1, 2, 3)).mean()
    assert change.max() < 2 * neighbours


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_a_film_that_stands_still_has_no_border_at_all(net):
    """Zeros beyond the ends would show: the border that the nets of 2019 learned."""
    maps = tiny(net)(clips(1).expand(-1, 9, -1, -1, -1))["centre"]
    torch.testing.assert_close(maps, maps[:, :1].expand_as(maps), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_zeros_beyond_the_ends_give_a_film_that_stands_still_a_border(net):
    built = tiny(net, time_padding="zeros", view_blocks=2)
    maps = built(clips(1).expand(-1, 9, -1, -1, -1))["centre"][0]
    change = (maps - maps[4]).abs().amax(dim=(1, 2, 3))
    inner = change[2:-2]  # two blocks see two frames to either side
    assert change[[0, -1]].min() > 100 * inner.max()


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_without_its_shortcut_a_block_that_says_nothing_lets_nothing_through(net):
    for shortcut, same in ((True, False), (False, True)):
        built = tiny(net, view_shortcut=shortcut, view_blocks=1)
        torch.nn.init.zeros_(built.blocks[0].expand.weight)
        one, other = (built(clips(seed=seed))["centre"] for seed in (1, 2))
        assert torch.equal(one, other) is same


@pytest.mark.parametrize("before", [0, 2])
@torch.no_grad()
def test_the_plane_is_time_and_height_and_its_channels_are_a_strip_of_columns(before):
    """Against sums written out cell by cell."""
    torch.manual_seed(3)
    frames, height, width, strip, channels, dilation = 3, 5, 6, 4, 2, 2
    plane = PlaneConv(channels, strip, dilation=dilation, before=before, rows_as_channels=False)
    features = torch.randn(2 * frames, channels, height, width)
    got = plane(features, frames).reshape(2, frames, channels, height, width).numpy()
    weight = plane.conv.weight.reshape(strip, channels, strip, channels, 3, 3).numpy()
    film = features.reshape(2, frames, channels, height, width).numpy()
    expected = np.zeros_like(got)
    for t, y, x in np.ndindex(frames, height, width):
        column = (x + before) % strip
        for other, dt, dy in np.ndindex(strip, 3, 3):
            from_x = x - column + other
            from_y = y + (dy - 1) * dilation
            from_t = min(max(t + dt - 1, 0), frames - 1)
            if 0 <= from_x < width and 0 <= from_y < height:
                taps = weight[column, :, other, :, dt, dy]
                expected[:, t, :, y, x] += film[:, from_t, :, from_y, from_x] @ taps.T
    np.testing.assert_allclose(got, expected, atol=1e-4)


@torch.no_grad()
def test_the_top_view_is_the_side_view_of_turned_frames():
    torch.manual_seed(3)
    side = PlaneConv(2, 4, dilation=1, before=2, rows_as_channels=False)
    top = PlaneConv(2, 4, dilation=1, before=2, rows_as_channels=True)
    top.load_state_dict(side.state_dict())
    features = torch.randn(6, 2, 5, 7)
    turned = side(features.transpose(2, 3), 3).transpose(2, 3)
    torch.testing.assert_close(top(features, 3), turned)


@torch.no_grad()
def test_three_planes_in_one_convolution_are_three_convolutions():
    torch.manual_seed(2)
    planes = TriPlaneConv(3)
    planes.gates.normal_()
    film = torch.randn(1, 3, 5, 6, 7)  # batch, channels, T, H, W
    beyond = F.pad(film, (1, 1, 1, 1))
    beyond = torch.cat([beyond[:, :, :1], beyond, beyond[:, :, -1:]], dim=2)
    kernels = (planes.space[:, :, None], planes.side[..., None], planes.top[:, :, :, None])
    shares = planes.shares()[..., None, None, None]
    expected = torch.zeros_like(film)
    for share, kernel in zip(shares, kernels, strict=True):
        # A plane's kernel is one thick across it, where nothing lies beyond.
        cut = tuple(slice(1, -1) if n == 1 else slice(None) for n in kernel.shape[2:])
        expected += share * F.conv3d(beyond[(..., *cut)], kernel)
    got = planes(film[0].transpose(0, 1), 5)
    torch.testing.assert_close(got, expected[0].transpose(0, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(planes.shares().mean(dim=0), torch.ones(3))


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_every_backend_computes_them_at_every_size(net, backend):
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    built = tiny(net, heads=("centre",))
    runner = make_runner(
        model_of(built, NetNotes(built.settings, 64 * 64)), Engine(backend, "cpu", "off")
    )
    for height, width in ((64, 64), (50, 90)):
        batch = clips(4, 1, height, width).byte()
        expected = built(batch)["centre"].numpy()
        np.testing.assert_allclose(runner(batch.numpy())["centre"], expected, atol=1e-3)


@pytest.mark.parametrize("net", VIEWS)
def test_their_weights_predict_videos_of_any_length(net, tmp_path):
    """A short block at the end, a video shorter than T, and blocks that overlap."""
    built = tiny(net)
    path = tmp_path / "net.safetensors"
    notes = {"settings": built.settings.to_json(), "test_px": "4096"}
    save_weights(path, built.state_dict(), notes)
    frames = clips(6, 1, 48, 64)[0].byte().permute(0, 2, 3, 1).numpy()
    for overlap in (0, 2):
        settings = PredictSettings(overlap=overlap, backend="torch", device="cpu", amp="off")
        predictor = Predictor(load_net(path), settings)
        for count in (1, 3, 4, 6):
            found = list(predictor.predict_images(frames[:count]))
            assert [f.frame for f in found] == list(range(1, count + 1))
            assert all(np.isfinite(f.density).all() for f in found)


@pytest.mark.parametrize("view_from", ["features", "density"])
@pytest.mark.parametrize("net", ["side", "top"])
@torch.no_grad()
def test_a_second_stage_starts_from_a_frame_net(net, view_from, tmp_path):
    torch.manual_seed(5)
    shape = {"width": 0.125, "neck_channels": 8, "frames": 3}
    earlier = build_net(NetSettings(fuse="none", **shape)).eval()
    path = tmp_path / "frame.safetensors"
    save_weights(path, earlier.state_dict(), {"settings": earlier.settings.to_json()})
    second = build_net(NetSettings(net=net, view_from=view_from, **shape)).eval()
    said = start_from(second, str(path))
    # What is new stays as it was drawn, and the report says so.
    left = "lift" if view_from == "density" else "blocks.0"
    assert f"left at random (first {left}" in said
    images = clips(3)[0]
    pyramid = earlier.trunk(images)
    features = earlier.neck(pyramid[earlier.finest :])
    if view_from == "features":
        torch.testing.assert_close(second.stem(images), features)
        torch.testing.assert_close(
            second(images[None])["density"], earlier(images[None])["density"]
        )
    else:
        density = earlier.heads.maps["density"](features)
        torch.testing.assert_close(second.first_stage(features), density)


@pytest.mark.parametrize("net", VIEWS)
@torch.no_grad()
def test_a_net_of_stacked_frames_is_a_start_too(net, tmp_path):
    earlier = build_net(NetSettings(width=0.125, neck_channels=8, frames=5))
    path = tmp_path / "stack.safetensors"
    save_weights(path, earlier.state_dict(), {"settings": earlier.settings.to_json()})
    said = start_from(tiny(net), str(path))
    assert "tensors loaded" in said and "left at random" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net": "side", "fuse": "8"}, "--fuse: expected left out beside --net side"),
        ({"net": "top", "mixer": True}, "--fuse none beside --mixer"),
        ({"net": "side", "view_from": "masks"}, "--view-from: expected one of pixels, features"),
        ({"net": "triplane", "view_from": "density"}, "--view-from: expected --net side or top"),
        ({"view_from": "features"}, "--view-from: expected --net side or top"),
        ({"net": "side", "strip": 1}, "--strip: expected at least 2 cells"),
        ({"net": "side", "time_padding": "mirror"}, "--time-padding: expected one of edge, zeros"),
        ({"net": "top", "view_blocks": 0}, "--view-blocks: expected at least 1"),
        ({"net": "top", "view_channels": 0}, "--view-channels: expected at least 1"),
        ({"net": "side", "frames": 0}, "--frames: expected at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changes, words):
    with pytest.raises(InputError, match=words):
        NetSettings(**changes)
