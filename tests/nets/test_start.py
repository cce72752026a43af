import pytest
import torch

from mot.errors import InputError
from nets.menu import build_net
from nets.settings import NetSettings
from nets.start import DENSITY_UNIT, start_from
from nets.weights import save_weights

FRAMES = torch.rand(2, 1, 3, 32, 48, generator=torch.Generator().manual_seed(4)) * 255


def net(seed=0, unit=0.01, **changes):
    values = {"width": 0.125, "neck_channels": 8, "frames": 3} | changes
    torch.manual_seed(seed)
    built = build_net(NetSettings(**values)).eval()
    if built.density_head is not None:
        built.density_head.set_unit(unit)
    return built


@pytest.fixture
def saved(tmp_path):
    def write(earlier, name="earlier.safetensors"):
        path = tmp_path / name
        save_weights(path, earlier.state_dict(), {"settings": earlier.settings.to_json()})
        return str(path)

    return write


@torch.no_grad()
def density(of, frames=3):
    return of(FRAMES.expand(-1, frames, -1, -1, -1))["density"]


def test_none_leaves_the_net_alone():
    fresh = net()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    assert start_from(fresh, "none") == "start: random weights"
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_an_earlier_net_is_taken_whole_with_its_unit(saved):
    earlier = net(seed=1, unit=0.05)
    fresh = net(unit=0.01)
    said = start_from(fresh, saved(earlier))
    assert "0 left at random" in said
    assert torch.equal(density(fresh), density(earlier))


def test_other_heads_keep_what_both_have(saved):
    earlier = net(seed=1, heads=("density",))
    fresh = net(heads=("density", "centre", "box"))
    said = start_from(fresh, saved(earlier))
    assert "left at random (first heads.maps.centre" in said
    assert torch.equal(density(fresh), density(earlier))


@pytest.mark.parametrize(("before", "after"), [(1, 5), (5, 3), (5, 1)])
def test_another_number_of_stacked_frames_keeps_the_trunk(before, after, saved):
    """Equal frames give the trunk's features of before; heads of T frames start afresh."""
    earlier, fresh = net(seed=1, frames=before, unit=0.05), net(frames=after, unit=0.01)
    said = start_from(fresh, saved(earlier))
    assert "left at random (first heads.maps.density.out" in said
    with torch.no_grad():
        stacks = [FRAMES.expand(-1, n, -1, -1, -1).flatten(1, 2) for n in (before, after)]
        old, new = earlier.trunk(stacks[0]), fresh.trunk(stacks[1])
    torch.testing.assert_close(new[-1], old[-1], rtol=1e-3, atol=1e-4)
    # The unit belongs to the output that learned in it; that one did not fit.
    assert fresh.state_dict()[DENSITY_UNIT].item() == pytest.approx(0.01)


def test_frame_by_frame_nets_take_any_number_of_frames(saved):
    earlier, fresh = net(seed=1, frames=1, fuse="none"), net(frames=3, fuse="none")
    assert "0 left at random" in start_from(fresh, saved(earlier))
    torch.testing.assert_close(density(fresh)[:, :1], density(earlier, 1))


@pytest.mark.parametrize("other", [{"width": 0.25}, {"backbone": "resnet18"}])
def test_another_trunk_is_refused_and_nothing_changed(other, saved):
    fresh = net()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(InputError, match=r"a net with trunk vgg16, width 0.125"):
        start_from(fresh, saved(net(**other)))
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_folded_image_weights_train_from_the_function_they_were(tmp_path):
    """Weights without normalisation, in a trunk with one: training starts from the same maps."""
    torch.manual_seed(1)
    plain = build_net(NetSettings(width=1.0, norm="none", frames=1, deepest=8)).trunk
    names = {n.partition("features.")[2]: n for n in plain.state_dict() if "features" in n}
    path = tmp_path / "vgg.safetensors"
    save_weights(path, {f"features.{k}": plain.state_dict()[n] for k, n in names.items()})
    fresh = build_net(NetSettings(width=1.0, frames=1, deepest=8))
    asked = []

    def clips():
        asked.append(1)
        return FRAMES.byte()

    said = start_from(fresh, str(path), clips=clips)
    assert said.startswith(f"start: {path}: ")
    assert asked == [1]
    images = FRAMES.byte().float().flatten(0, 1)
    with torch.no_grad():
        expected = plain(images)[-1]
        in_training = fresh.trunk.train()(images)[-1]
        in_evaluation = fresh.trunk.eval()(images)[-1]
    torch.testing.assert_close(in_training, expected, rtol=1e-2, atol=1e-2 * expected.std().item())
    torch.testing.assert_close(in_evaluation, expected, rtol=1e-1, atol=0.1 * expected.std().item())


def test_unreadable_starts_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="--inflate: expected repeat or centre, got twice"):
        start_from(net(), "none", inflate="twice")
    with pytest.raises(InputError, match="no such file"):
        start_from(net(), str(tmp_path / "none.safetensors"))
    cut = tmp_path / "cut.safetensors"
    save_weights(cut, net().state_dict(), {"settings": net().settings.to_json()})
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(InputError, match="cut off"):
        start_from(net(), str(cut))
