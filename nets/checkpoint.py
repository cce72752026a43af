"""Checkpoints: all that a training holds, written whole, so that it can go on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from mot.atomic import atomic_path
from mot.errors import InputError
from nets.ranks import rank
from nets.run_log import LOG

CHECKPOINT = "checkpoint.pt"
# Where and with how many hands, not what: a resumed run may have them otherwise.
MAY_DIFFER = {
    "data.data",
    "data.cache",
    "schedule.workers",
    "schedule.device",
    "schedule.checkpoint_minutes",
}


@dataclass
class State:
    """All that changes from step to step, and so all that a checkpoint holds."""

    step: int
    net: nn.Module
    average: AveragedModel | None
    optimiser: Optimizer
    sums: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path, config: str) -> None:
        """Write everything, random state included, atomically."""
        content = {
            "step": self.step,
            "config": config,
            "net": self.net.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "random": torch.get_rng_state(),
        }
        write_tensors(path, content)

    def load(self, path: Path, config: str, build: Callable[[int], Optimizer]) -> None:
        """Continue from a checkpoint of the same settings.

        Args:
            path: the checkpoint.
            config: settings of the run.
            build: step → optimiser of the kind that takes this step.

        Raises:
            InputError: no checkpoint, a broken one, or one of other settings.
        """
        content = read_checkpoint(path, config)
        try:
            self.net.load_state_dict(content["net"])
            if self.average is not None:
                self.average.load_state_dict(content["average"])
            self.step, self.sums = content["step"], content["sums"]
            self.optimiser = build(self.step - 1)  # that took the last step, and was saved
            self.optimiser.load_state_dict(content["optimiser"])
            torch.set_rng_state(content["random"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = _first_line(error)
            remedy = "train without --resume"
            raise InputError(path, "a checkpoint of this net", reason, remedy) from error

    @property
    def evaluated(self) -> nn.Module:
        """The net worth keeping: with the running mean of the weights where there is one."""
        return self.net if self.average is None else self.average.module


def require_startable(run: Path, config: str, *, resume: bool) -> None:
    """Refuse, before anything is written, to train over a run or to go on with none.

    Args:
        run: its folder.
        config: settings of this run, as YAML.
        resume: go on with the run that is there.

    Raises:
        InputError: as `read_checkpoint`, or a run that is in the way.
    """
    if resume:
        read_checkpoint(run / CHECKPOINT, config)
    elif rank() == 0 and (run / LOG).exists():
        raise InputError(run, "a new run folder", "one with a log", "use another --out or --resume")


def read_checkpoint(path: Path, config: str) -> dict[str, Any]:
    """Read a checkpoint's content.

    Raises:
        InputError: no checkpoint, a broken one, or one of other settings.
    """
    remedy = "train without --resume"
    if not path.is_file():
        raise InputError(path, "a checkpoint", "none", remedy)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a file cut short
        raise InputError(path, "a whole checkpoint", _first_line(error), remedy) from error
    if not isinstance(content, dict) or not isinstance(content.get("config"), str):
        raise InputError(path, "a checkpoint of a training", "another file", remedy)
    old, new = _flat(yaml.safe_load(content["config"])), _flat(yaml.safe_load(config))
    for name in sorted(old):  # what only this version knows had no say in that run
        if name not in MAY_DIFFER and old.get(name) != new.get(name):
            expected = f"the settings of this run, {name} {old.get(name)}"
            raise InputError(path, expected, new.get(name), "leave the flag out, or another --out")
    return content


def write_tensors(path: Path, content: Any) -> None:
    """Write with torch.save, whole or not at all; a full disk is an OSError."""
    with atomic_path(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's own writer tells no errno
            raise OSError(0, _first_line(error), str(path)) from error


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one dict with dotted names."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    parts = [_flat(v, f"{prefix}.{k}" if prefix else str(k)) for k, v in settings.items()]
    return {name: value for part in parts for name, value in part.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
