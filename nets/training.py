"""The training loop: batches in, weights, log, curves and resumable checkpoints out.

Read `train` top to bottom; everything else in this file is a step of it. What the loop needs to
know about data and nets is handed in, so that other rooms can train other nets with it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from mot.atomic import atomic_path
from mot.errors import InputError

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": lambda groups, lr, weight_decay: torch.optim.SGD(
        groups, lr=lr, momentum=0.9, nesterov=True, weight_decay=weight_decay
    ),
}
FINAL_LR_SHARE = 0.01  # of the peak, where the cosine ends
CHECKPOINT = "checkpoint.pt"


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
    optimiser: str = "adamw"
    """adamw, adam or sgd."""
    weight_decay: float = 1e-4
    """Decay of weights per step, times the learning rate."""
    warmup_steps: int = 30
    """Steps over which the learning rate rises from 0."""
    clip_grad: float = 5.0
    """Largest norm of the gradient; larger ones are scaled down. 0 = off."""
    ema: float = 0.995
    """Decay per step of the running mean of weights that is saved; 0 = off."""
    amp: str = "auto"
    """bf16 arithmetic: on, off or auto (on where the device has it in hardware)."""
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
        self._require("max_steps", self.max_steps >= 1, "at least 1")
        self._require("batch", self.batch >= 1, "at least 1")
        self._require("lr", self.lr > 0, "above 0")
        self._require("log_every", self.log_every >= 1, "at least 1")
        self._require("ema", 0 <= self.ema < 1, "a decay in [0, 1)")
        self._require("amp", self.amp in ("auto", "on", "off"), "auto, on or off")
        names = ", ".join(OPTIMISERS)
        self._require("optimiser", self.optimiser in OPTIMISERS, f"one of {names}")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            flag = f"--{field.replace('_', '-')}"
            raise InputError(flag, expected, getattr(self, field), "change this setting")


def choose_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda or mps into a device.

    Raises:
        InputError: the device is not there.
    """
    found = "cpu"
    if torch.cuda.is_available():
        found = "cuda"
    elif torch.backends.mps.is_available():
        found = "mps"
    if name not in ("auto", "cpu", found):
        raise InputError("--device", f"auto, cpu or {found}", name, "choose a device that is here")
    return torch.device(found if name == "auto" else name)


def use_bf16(amp: str, device: torch.device) -> bool:
    """Whether to calculate in bf16: asked for, or the device does it in hardware.

    A CPU without AVX512-BF16 or AMX emulates bf16, ten times slower than fp32.
    """
    if amp != "auto":
        return amp == "on"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    capable = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    return "AVX512" in capable and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


@dataclass(frozen=True)
class Job:
    """What to train: a net, where batches come from, what a batch's loss is, what to log.

    Attributes:
        net: in place; its parameters under `trunk` (if it has one) take the trunk's rate.
        batches: first step → batches (frames, targets) from that step on; both have `.to(device)`.
        loss: (net, batch) → (scalar, sums by name); sums are added up between two log rows.
        row: (sums, steps) → columns of a log row.
        save: weights → None, writes RUN/weights.safetensors.
        watch: (step, row) → sentences of the doctor.
        draw: pictures log.csv as curves.png.
        validate: net → validation loss, NaN where there is nothing to validate on.
    """

    net: nn.Module
    batches: Callable[[int], Iterable[Any]]
    loss: Callable[[nn.Module, Any], tuple[Tensor, dict[str, Any]]]
    row: Callable[[dict[str, Any], int], dict[str, float]]
    save: Callable[[Mapping[str, Tensor]], None]
    watch: Callable[[int, dict[str, float]], list[str]]
    draw: Callable[[], None]
    validate: Callable[[nn.Module], float]


@dataclass
class State:
    """All that changes from step to step, and so all that a checkpoint holds."""

    step: int
    net: nn.Module
    average: AveragedModel | None
    optimiser: Optimizer
    sums: dict[str, Any]

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
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    def load(self, path: Path, config: str) -> None:
        """Continue from a checkpoint of the same settings.

        Raises:
            InputError: no checkpoint, a broken one, or one of other settings.
        """
        if not path.is_file():
            raise InputError(path, "a checkpoint", "none", "train without --resume")
        try:
            content = torch.load(path, weights_only=True)
        except Exception as error:  # torch raises many kinds for a file cut short
            raise InputError(path, "a whole checkpoint", error, "train without --resume") from error
        if content["config"] != config:
            raise InputError(path, "the settings of this run", "others", "use another --out")
        self.step = content["step"]
        self.net.load_state_dict(content["net"])
        if self.average is not None:
            self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.sums = content["sums"]
        torch.set_rng_state(content["random"])

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The weights worth keeping: the running mean where there is one."""
        return self.evaluated.state_dict()

    @property
    def evaluated(self) -> nn.Module:
        """The net that carries `weights`."""
        return self.net if self.average is None else self.average.module


def train(job: Job, settings: ScheduleSettings, run: Path, *, config: str, resume: bool) -> None:
    """Train until max_steps, Ctrl-C or a loss that is not finite; leave the run folder complete.

    Args:
        job: what to train.
        settings: schedule.
        run: folder for checkpoint.pt, log.csv, weights.safetensors, curves.png, TensorBoard.
        config: text of all settings; a resumed run must have the same.
        resume: continue from run/checkpoint.pt, bit for bit as if it had not stopped.

    Raises:
        InputError: loss not finite (the batch is saved in run/bad_batch.pt), or nothing to resume.
        KeyboardInterrupt: after Ctrl-C, when everything has been saved.
    """
    device = choose_device(settings.device)
    net = job.net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(0, net, _running_mean(net, settings.ema), build_optimiser(net, settings), {})
    if resume:
        state.load(run / CHECKPOINT, config)
    model = _distributed(net)
    main = int(os.environ.get("RANK", "0")) == 0
    log = Log(run, state.step) if main else None
    bf16 = use_bf16(settings.amp, device)
    saved_at = time.monotonic()
    with _stop_on_signal() as stop, _progress(state.step, settings.max_steps, main) as bar:
        for batch in job.batches(state.step):
            if state.step >= settings.max_steps or stop.asked:
                break
            loss, sums = _step(state, model, job, batch, settings, device, bf16)
            if not np.isfinite(loss):
                _save_bad_batch(run, batch, state.step)
            state.sums = {k: state.sums.get(k, 0) + v for k, v in sums.items()}
            bar.update()
            if log and (state.step % settings.log_every == 0 or state.step == settings.max_steps):
                _log_row(state, job, settings, log, bar)
            if main and time.monotonic() - saved_at > 60 * settings.checkpoint_minutes:
                _save(state, job, run, config)
                saved_at = time.monotonic()
    if main:
        _save(state, job, run, config)
    if log:
        log.close()
    if stop.asked:
        raise KeyboardInterrupt


def _step(
    state: State,
    model: nn.Module,
    job: Job,
    batch: Any,
    settings: ScheduleSettings,
    device: torch.device,
    bf16: bool,
) -> tuple[float, dict[str, Any]]:
    """One optimiser step; returns the loss and the sums to log."""
    batch = tuple(part.to(device) for part in batch)
    model.train()
    for group in state.optimiser.param_groups:
        group["lr"] = group["peak_lr"] * lr_share(state.step, settings)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        loss, sums = job.loss(model, batch)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    limit = settings.clip_grad or float("inf")
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), limit)
    value = float(loss.detach())
    if np.isfinite(value):
        state.optimiser.step()
        if state.average is not None:
            state.average.update_parameters(state.net)
        state.step += 1
    return value, sums | {"loss": value, "grad_norm": float(norm)}


def lr_share(step: int, settings: ScheduleSettings) -> float:
    """Learning rate at a step as a share of its peak: linear rise, then half a cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    rest = max(1, settings.max_steps - settings.warmup_steps)
    done = (step - settings.warmup_steps) / rest
    return FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * 0.5 * (1 + float(np.cos(np.pi * done)))


def build_optimiser(net: nn.Module, settings: ScheduleSettings) -> Optimizer:
    """Optimiser with the trunk's rate apart, no decay on biases and norms, frozen stages left out.

    Raises:
        InputError: more stages to freeze than the trunk has.
    """
    _freeze(net, settings.freeze)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith("trunk."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    table = []
    for (in_trunk, decays), parameters in groups.items():
        peak = settings.lr * (settings.trunk_lr_share if in_trunk else 1.0)
        decay = settings.weight_decay if decays else 0.0
        table.append({"params": parameters, "peak_lr": peak, "weight_decay": decay})
    build = OPTIMISERS[settings.optimiser]
    return build(table, lr=settings.lr, weight_decay=settings.weight_decay)


def _freeze(net: nn.Module, stages: int) -> None:
    if stages == 0:
        return
    trunk = list(net.trunk.stages)  # type: ignore[union-attr, arg-type]
    if stages > len(trunk):
        raise InputError("--freeze", f"at most {len(trunk)} stages", stages, "lower --freeze")
    for stage in trunk[:stages]:
        stage.requires_grad_(False)


def _running_mean(net: nn.Module, decay: float) -> AveragedModel | None:
    """Running mean of weights and norms; its decay rises so that early weights are forgotten."""
    if decay == 0:
        return None

    def mean(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current
        share = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(current, average, share)

    return AveragedModel(net, avg_fn=mean, use_buffers=True)


def _distributed(net: nn.Module) -> nn.Module:
    """Wrap the net for torchrun; a plain start leaves it as it is."""
    if "RANK" not in os.environ:
        return net
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return nn.parallel.DistributedDataParallel(net)


def _save(state: State, job: Job, run: Path, config: str) -> None:
    state.save(run / CHECKPOINT, config)
    job.save(state.weights)
    job.draw()


def _save_bad_batch(run: Path, batch: Any, step: int) -> None:
    path = run / "bad_batch.pt"
    with atomic_path(path) as temporary:
        torch.save([part if isinstance(part, Tensor) else vars(part) for part in batch], temporary)
    raise InputError(
        path,
        "a finite loss",
        f"NaN or infinity at step {step}; the batch is saved here",
        "lower --lr, lower --clip-grad or set --amp off, then --resume",
    )


def _log_row(
    state: State, job: Job, settings: ScheduleSettings, log: Log, bar: tqdm[Any]
) -> None:
    steps = (state.step - 1) % settings.log_every + 1
    row = {"step": float(state.step)} | job.row(state.sums, steps)
    row["lr"] = state.optimiser.param_groups[-1]["lr"]
    state.sums = {}
    due = state.step % settings.val_every < settings.log_every
    last = state.step == settings.max_steps
    row["val_loss"] = job.validate(state.evaluated) if due or last else float("nan")
    for sentence in job.watch(state.step, row):
        bar.write(f"doctor: step {state.step}: {sentence}")
    bar.set_postfix(loss=f"{row['loss']:.3f}")
    log.write(row)


class Log:
    """log.csv and TensorBoard events of a run; rows after a resumed step are dropped first."""

    def __init__(self, run: Path, step: int) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.path = run / "log.csv"
        kept: list[str] = []
        if step and self.path.is_file():
            lines = self.path.read_text().splitlines()
            kept = lines[:1] + [s for s in lines[1:] if s and float(s.split(",")[0]) <= step]
        self.columns = kept[0].split(",") if kept else []
        with atomic_path(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept))
        self.file = self.path.open("a", encoding="utf-8")
        # Imported late: it takes a second, which a command that only reads weights need not pay.
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(run / "tensorboard")  # type: ignore[no-untyped-call]

    def write(self, row: dict[str, float]) -> None:
        """Append one row; the first row names the columns."""
        if not self.columns:
            self.columns = list(row)
            self.file.write(",".join(self.columns) + "\n")
        cells = ["" if np.isnan(row[name]) else f"{row[name]:.6g}" for name in self.columns]
        self.file.write(",".join(cells) + "\n")
        self.file.flush()
        for name, value in row.items():
            if np.isfinite(value):
                self.board.add_scalar(name, value, int(row["step"]))  # type: ignore

    def close(self) -> None:
        """Close both files."""
        self.file.close()
        self.board.close()  # type: ignore[no-untyped-call]


class _Stop:
    """Whether a signal has asked the loop to end after the current step."""

    asked = False


@contextmanager
def _stop_on_signal() -> Iterator[_Stop]:
    """Turn SIGINT and SIGTERM into a request to stop between steps, so that saving is whole."""
    stop = _Stop()

    def ask(*_: object) -> None:
        stop.asked = True

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(step: int, total: int, shown: bool) -> tqdm[Any]:
    return tqdm(
        total=total, initial=step, unit="step", disable=not shown, dynamic_ncols=True, smoothing=0.1
    )
