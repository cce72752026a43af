"""All settings of a training run: flags, YAML recipes, and the config.yaml beside a run.

One recipe file is one published number. A flag given beside `--config FILE` wins over the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mot.errors import InputError, require_setting
from mot.yaml_settings import read_yaml, yaml_text
from nets.augment import AugmentSettings
from nets.losses import LossSettings
from nets.notes import LEAST_PX, SIZE_GRID
from nets.people import HIDDEN_VISIBILITY
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings
from nets.transfer import INFLATIONS


@dataclass(frozen=True)
class DataSettings:
    """Which frames to learn from."""

    data: str | None = None
    """Folder that holds sequence folders at some depth; none = rendered scenes."""
    train_seqs: tuple[str, ...] = ()
    """Sequences to train on; none named = all with a truth that are not in --val-seqs, or, beside
    --stills, photos alone."""
    val_seqs: tuple[str, ...] = ()
    """Sequences to validate on while training."""
    stills: tuple[str, ...] = ()
    """Folders of photos with a boxes.csv, below --data or anywhere."""
    still_share: float = 0.3
    """Share of the clips that come from photos, where there are any."""
    share_power: float = 0.0
    """Sequences are drawn as often as their number of people to this power: 0 = all alike, 1 = by
    people, so that scenes of few teach little."""
    least_visibility: float = HIDDEN_VISIBILITY
    """Of people in sequences of whom less shows than this share no detection is asked for, they
    only count; 0 = everybody is to be found, as is right where the camera and the people are those
    of the training."""
    cutouts: tuple[str, ...] = ()
    """Folders of photos with NAME_mask.png, below --data or anywhere: people for --paste-share."""
    scenes: int = 12
    """Rendered scenes to train on where there is no --data."""
    empty_scenes: int = 0
    """Rendered streets where nobody walks, full of shrubs, flowers and signs, to train on too."""
    empty_share: float = 0.1
    """Share of the clips that come from these streets, where there are any."""
    cache: str = "data/cache"
    """Folder of the frame blocks."""
    cache_px: int = 1280 * 720
    """Largest number of pixels per cached frame; larger frames are shrunk."""

    def __post_init__(self) -> None:
        for name in ("train_seqs", "val_seqs", "stills", "cutouts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require_setting(self, "still_share", 0 <= self.still_share <= 1, "a share in 0..1")
        require_setting(self, "empty_scenes", self.empty_scenes >= 0, "0 or more")
        require_setting(self, "empty_share", 0 < self.empty_share < 1, "a share above 0, below 1")
        require_setting(self, "share_power", 0 <= self.share_power <= 1, "a power in 0..1")
        require_setting(
            self, "least_visibility", 0 <= self.least_visibility <= 1, "a share in 0..1"
        )
        require_setting(self, "scenes", self.scenes >= 1, "at least 1")
        require_setting(self, "cache_px", self.cache_px >= 32 * 32, f"at least {32 * 32}")


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run.

    --raw-loss brings --activation relu with it, and --target seg its head in the density's place.
    """

    data: DataSettings = field(default_factory=DataSettings)
    net: NetSettings = field(default_factory=NetSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    weights: str = "none"
    """Weights to start from: imagenet, none, or a .safetensors file (image weights or a net)."""
    test_px: int = 0
    """Pixels per frame that the trained net is to see when it predicts; goes with the weights.
    0 = as many as the training frames have, which suits crops at their own scale."""
    inflate: str = "repeat"
    """How a first convolution spreads over T stacked frames: repeat (and divide by T) or centre."""

    def __post_init__(self) -> None:
        sensible = self.test_px == 0 or self.test_px >= SIZE_GRID**2
        require_setting(self, "test_px", sensible, f"0 or {LEAST_PX}")
        require_setting(self, "inflate", self.inflate in INFLATIONS, " or ".join(INFLATIONS))
        if self.schedule.freeze and self.weights == "none":
            got, remedy = f"--freeze {self.schedule.freeze}", "name weights, or set --freeze 0"
            raise InputError("--weights", "weights worth freezing", got, remedy)
        if self.augment.paste_share > 0 and not self.data.cutouts:
            got, remedy = f"--paste-share {self.augment.paste_share}", "name one, or set it to 0"
            raise InputError("--cutouts", "a folder of photos with masks", got, remedy)
        if self.loss.raw_loss:  # the 2019 net whole: its sums under softplus would be another net
            object.__setattr__(self, "net", replace(self.net, activation="relu"))
        if self.loss.target == "seg":
            others = tuple(head for head in self.net.heads if head not in ("density", "seg"))
            object.__setattr__(self, "net", replace(self.net, heads=("seg", *others)))


def recipe_text(settings: TrainSettings) -> str:
    """All settings as YAML, which `load_recipe` reads back."""
    return yaml_text(settings)


def load_recipe(path: Path) -> TrainSettings:
    """Read a YAML recipe; what it does not name keeps its default.

    Raises:
        InputError: no such file, not YAML, unknown or ill-typed settings.
    """
    if not path.is_file():
        raise InputError(path, "a recipe (YAML)", "no such file", "look in recipes/")
    return read_yaml(TrainSettings, path)
