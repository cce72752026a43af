import pytest

from mot.errors import InputError
from nets.settings import NetSettings


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"frames": 0}, "--frames"),
        ({"fuse": "2"}, "--fuse"),
        ({"fuse": "16", "deepest": 8}, "--fuse"),
        ({"width": 0.0}, "--width"),
        ({"width": float("nan")}, "--width"),
        ({"norm": "layer"}, "--norm"),
        ({"deepest": 4}, "--deepest"),
        ({"stride": 2}, "--stride"),
        ({"neck_channels": 4}, "--neck-channels"),
        ({"heads": ()}, "--heads"),
        ({"heads": ("density", "depth")}, "--heads"),
        ({"heads": ("density", "density")}, "--heads"),
        ({"heads": ("density", "box")}, "--heads"),
        ({"heads": ("density", "motion"), "frames": 1}, "--heads"),
        ({"activation": "tanh"}, "--activation"),
        ({"mixer": True}, "--mixer"),
    ],
)
def test_settings_that_make_no_net_are_refused_in_one_line(change, flag):
    with pytest.raises(InputError) as caught:
        NetSettings(**change)
    assert str(caught.value).startswith(f"{flag}: expected ")
    assert "\n" not in str(caught.value)


def test_settings_travel_as_json():
    settings = NetSettings(frames=3, fuse="none", mixer=True, heads=["density", "centre"])
    assert NetSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize("text", ["{", "[]", '{"depth": 3}', '{"frames": "five"}', '{"fuse": "9"}'])
def test_unusable_json_is_an_input_error(text):
    with pytest.raises(InputError):
        NetSettings.from_json(text, "weights.safetensors")
