"""How long and how fast a net trains: optimiser, learning rate over the steps, frozen stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import cos, inf, pi

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mot.errors import InputError, require_setting

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": lambda groups, lr, weight_decay: SGD(
        groups, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay
    ),
}
FINAL_LR_SHARE = 0.01  # of the peak, where the cosine ends


@dataclass(frozen=True)
class ScheduleSettings:
    """How long, how fast, on what."""

    max_steps: int = 300
    """Number of optimiser steps."""
    batch: int = 8
    """Clips per step and process."""
    lr: float = 1.5e-3
    """Peak learning rate of neck and heads."""
    trunk_lr_share: float = 1.0
    """Peak learning rate of the trunk as a share of --lr; 0.2 suits image weights."""
    freeze: int = 0
    """Number of the trunk's first stages that keep their weights."""
    unfreeze_step: int = 0
    """Step from which the frozen stages learn as well; 0 = never."""
    optimiser: str = "adamw"
    """adamw, adam or sgd."""
    sgd_from: int = 0
    """Step from which SGD with Nesterov momentum takes over from adamw or adam; 0 = never."""
    sgd_lr: float = 1e-2
    """Peak learning rate of the SGD that takes over, in the place of --lr; the cosine goes on."""
    weight_decay: float = 1e-4
    """Of adamw: decay of weights per step, times the learning rate. Of adam and sgd: L2 penalty."""
    warmup_steps: int = 30
    """Steps over which the learning rate rises from 0."""
    clip_grad: float = 5.0
    """Largest norm of the gradient; larger ones are scaled down. 0 = off."""
    ema: float = 0.995
    """Decay per step of the running mean of weights that is saved; 0 = off."""
    amp: str = "auto"
    """bf16 arithmetic: on, off or auto (on where the device is faster with it)."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    seed: int = 1
    """Of weights, clips and everything drawn."""
    workers: int = 1
    """Processes that prepare clips; 0 = in the training process."""
    log_every: int = 10
    """Steps per row of log.csv."""
    val_every: int = 500
    """Steps between validations on --val-seqs."""
    checkpoint_minutes: float = 3.0
    """Minutes between checkpoints."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self)
        for name in ("max_steps", "batch", "log_every", "val_every"):
            require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("seed", "workers", "freeze", "warmup_steps"):
            require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("unfreeze_step", "sgd_from"):
            within = 0 <= getattr(self, name) < self.max_steps
            require(name, within, f"a step below --max-steps {self.max_steps}, or 0")
        require("unfreeze_step", not self.unfreeze_step or self.freeze > 0, "0 without --freeze")
        for name in ("trunk_lr_share", "weight_decay", "clip_grad", "checkpoint_minutes"):
            require(name, 0 <= getattr(self, name) < inf, "0 or more")
        for name in ("lr", "sgd_lr"):
            require(name, 0 < getattr(self, name) < inf, "above 0")
        require("ema", 0 <= self.ema < 1, "a decay in [0, 1)")
        require("amp", self.amp in ("auto", "on", "off"), "auto, on or off")
        require("optimiser", self.optimiser in OPTIMISERS, f"one of {', '.join(OPTIMISERS)}")
        require("sgd_from", not self.sgd_from or self.optimiser != "sgd", "0 with --optimiser sgd")


def lr_share(step: int, settings: ScheduleSettings) -> float:
    """Learning rate at a step as a share of its peak: linear rise, then half a cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    rest = max(1, settings.max_steps - settings.warmup_steps)
    done = (step - settings.warmup_steps) / rest
    return FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + cos(pi * done))


def build_optimiser(net: nn.Module, settings: ScheduleSettings, step: int = 0) -> Optimizer:
    """Optimiser for a step: the trunk's rate apart, no decay on biases and norms.

    Stages that are frozen for good are left out.

    Args:
        net: what learns.
        settings: schedule.
        step: taken by the optimiser, the first of all being 0; from `sgd_from` on it is SGD.

    Raises:
        InputError: more stages to freeze than the trunk has.
    """
    for stage in frozen_stages(net, settings.freeze):
        # Those that learn later belong to the optimiser from the start: it skips what has no
        # gradient (`hold_stages`), and its checkpoints have one layout.
        stage.requires_grad_(settings.unfreeze_step > 0)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("trunk."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    switched = 0 < settings.sgd_from <= step
    lr = settings.sgd_lr if switched else settings.lr
    table = []
    for (in_trunk, decays), parameters in groups.items():
        peak = lr * (settings.trunk_lr_share if in_trunk else 1.0)
        decay = settings.weight_decay if decays else 0.0
        table.append({"params": parameters, "peak_lr": peak, "weight_decay": decay})
    build = OPTIMISERS["sgd" if switched else settings.optimiser]
    return build(table, lr=lr, weight_decay=settings.weight_decay)


def optimiser_for(
    step: int, current: Optimizer, net: nn.Module, settings: ScheduleSettings
) -> Optimizer:
    """Optimiser that takes this step, at its learning rate: the current one or its successor."""
    due = step == settings.sgd_from > 0
    optimiser = build_optimiser(net, settings, step) if due else current
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * lr_share(step, settings)
    return optimiser


def hold_stages(net: nn.Module, step: int, settings: ScheduleSettings) -> None:
    """Freeze the trunk's first stages, statistics of their norms included, or let them learn.

    Without a gradient a parameter is not touched by any optimiser: no decay, no momentum.
    """
    learn = 0 < settings.unfreeze_step <= step
    for stage in frozen_stages(net, settings.freeze):
        stage.requires_grad_(learn)
        stage.train(learn)


def frozen_stages(net: nn.Module, count: int) -> list[nn.Module]:
    """First `count` stages of the net's trunk.

    Raises:
        InputError: the trunk has fewer stages.
    """
    if count == 0:
        return []
    stages = list(net.get_submodule("trunk.stages").children())
    if count > len(stages):
        raise InputError("--freeze", f"at most {len(stages)} stages", count, "lower --freeze")
    return stages[:count]
