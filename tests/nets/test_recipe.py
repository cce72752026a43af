import dataclasses

import pytest
import yaml

from mot.errors import InputError
from nets.augment import AugmentSettings
from nets.losses import LossSettings
from nets.recipe import DataSettings, TrainSettings, load_recipe, recipe_text
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings

FULL = TrainSettings(
    data=DataSettings(data="d", train_seqs=("A", "B"), val_seqs=("C",), stills=("s",)),
    net=NetSettings(frames=3, fuse="none", mixer=True, heads=("density", "centre")),
    augment=AugmentSettings(crop=(64, 96), person_px=(20.0, 60.0), frame_steps=(1, 2)),
    loss=LossSettings(loss=("l1",), labelrate=5000.0),
    schedule=ScheduleSettings(lr=1e-5, amp="off", optimiser="sgd"),
    weights="imagenet",
    inflate="centre",
)


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("settings", [TrainSettings(), FULL], ids=["defaults", "full"])
def test_a_recipe_reads_back_as_it_was_written(settings, recipe):
    assert load_recipe(recipe(recipe_text(settings))) == settings


def test_what_a_recipe_does_not_name_keeps_its_default(recipe):
    settings = load_recipe(recipe("net: {frames: 3}\nschedule:\n  lr: 0.01\n"))
    assert settings.net == NetSettings(frames=3)
    assert settings.schedule == ScheduleSettings(lr=0.01)
    assert settings.loss == LossSettings()
    assert load_recipe(recipe("")) == TrainSettings()


def test_yamls_traps_are_understood(recipe):
    """In YAML 1.1, off is false, 1e-3 is text and a bare 4 is a number."""
    text = (
        "schedule: {amp: off, lr: 1e-3, clip_grad: 5}\nnet: {fuse: 4}\naugment: {person_px: null}"
    )
    settings = load_recipe(recipe(text))
    assert settings.schedule.amp == "off"
    assert settings.schedule.lr == 0.001
    assert settings.schedule.clip_grad == 5.0
    assert settings.net.fuse == "4"
    assert settings.augment.person_px is None


@pytest.mark.parametrize(
    ("text", "place", "complaint"),
    [
        ("net: {depth: 3}", "net", "got depth"),
        ("layers: 3", "", "got layers"),
        ("net: {frames: five}", "net: frames", "a whole number, got 'five'"),
        ("net: {frames: 2.5}", "net: frames", "a whole number, got 2.5"),
        ("net: {frames: true}", "net: frames", "a whole number, got True"),
        ("net: {mixer: 1}", "net: mixer", "true or false, got 1"),
        ("schedule: {lr: fast}", "schedule: lr", "a number, got 'fast'"),
        ("schedule: {lr: true}", "schedule: lr", "a number, got True"),
        ("augment: {crop: 64}", "augment: crop", "2 numbers, got 64"),
        ("augment: {crop: [64, 64, 64]}", "augment: crop", "2 numbers"),
        ("augment: {crop: [64, wide]}", "augment: crop", "a whole number, got 'wide'"),
        ("loss: {loss: mse}", "loss: loss", "of names, got 'mse'"),
        ("weights: [a]", "weights", "text, got"),
        ("net: 5", "net", "`name: value`"),
        ("- a\n- b", "", "`name: value`"),
        ("net: {frames: 0}", "net: --frames", "at least 1, got 0"),
        ("schedule: {optimiser: lion}", "schedule: --optimiser", "got lion"),
        ("inflate: both", "--inflate", "repeat or centre, got both"),
        ("data: {scenes: 0}", "data: --scenes", "at least 1"),
        ("test_px: 500", "", "--test-px: expected 0 or at least 1024 pixels, got 500"),
        ("net: {frames: [", "", "YAML"),
    ],
)
def test_mistakes_are_named_with_file_and_place(text, place, complaint, recipe):
    path = recipe(text)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {place}" if place else str(path))
    assert complaint in message
    assert "\n" not in message


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_recipe(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"net: \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_recipe(binary)


def test_raw_loss_brings_the_relu_of_2019():
    assert TrainSettings().net.activation == "softplus"
    raw = TrainSettings(loss=LossSettings(raw_loss=True))
    assert raw.net.activation == "relu"
    assert raw.net == NetSettings(activation="relu")


def test_a_mask_stands_in_the_place_of_the_density():
    both = NetSettings(heads=("density", "seg", "centre"))
    settings = TrainSettings(net=both, loss=LossSettings(target="seg"))
    assert settings.net.heads == ("seg", "centre")


def test_people_to_paste_must_come_from_somewhere(recipe):
    with pytest.raises(InputError, match=r"--cutouts: expected a folder .*, got --paste-share 0.5"):
        load_recipe(recipe("augment: {paste_share: 0.5}"))
    given = load_recipe(recipe("augment: {paste_share: 0.5}\ndata: {cutouts: [photos]}"))
    assert given.data.cutouts == ("photos",)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"max_steps": 0}, "--max-steps"),
        ({"batch": 0}, "--batch"),
        ({"log_every": 0}, "--log-every"),
        ({"val_every": 0}, "--val-every"),
        ({"seed": -1}, "--seed"),
        ({"workers": -1}, "--workers"),
        ({"freeze": -1}, "--freeze"),
        ({"warmup_steps": -1}, "--warmup-steps"),
        ({"lr": 0.0}, "--lr"),
        ({"lr": float("nan")}, "--lr"),
        ({"ema": 1.0}, "--ema"),
        ({"clip_grad": -1.0}, "--clip-grad"),
        ({"amp": "half"}, "--amp"),
        ({"optimiser": "lion"}, "--optimiser"),
    ],
)
def test_schedules_out_of_range_are_refused(change, flag):
    with pytest.raises(InputError, match=f"^{flag}: expected"):
        ScheduleSettings(**change)


def test_every_setting_says_what_it_is_for():
    """The text under a field is its --help; config.yaml is written in the same order."""
    values = yaml.safe_load(recipe_text(TrainSettings()))
    assert list(values) == [field.name for field in dataclasses.fields(TrainSettings)]
