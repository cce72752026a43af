"""What the tests of training share: a tiny run, with and without loader processes."""

import pytest

from nets.augment import AugmentSettings
from nets.recipe import DataSettings, TrainSettings
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings


# Each loader process imports torch anew, which takes seconds.
@pytest.fixture(params=[0, pytest.param(1, marks=pytest.mark.slow)])
def workers(request):
    """Number of loader processes."""
    return request.param


@pytest.fixture
def settings(make_scene, tmp_path):
    """A training run of a tiny density net that takes a second."""
    make_scene("street")
    make_scene("square")
    return TrainSettings(
        data=DataSettings(
            data=str(tmp_path),
            train_seqs=("street",),
            val_seqs=("square",),
            cache=str(tmp_path / "cache"),
        ),
        net=NetSettings(width=0.125, neck_channels=8, frames=2),
        augment=AugmentSettings(crop=(32, 64)),
        schedule=ScheduleSettings(
            max_steps=6,
            batch=2,
            workers=0,
            log_every=2,
            warmup_steps=2,
            val_every=4,
            device="cpu",
            amp="off",
        ),
    )
