"""The training loop: batches in, weights, log, curves and resumable checkpoints out.

Read `train` top to bottom; everything else in this file is a step of it. What the loop needs to
know about data and nets is handed in, so that other rooms can train other nets with it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from mot.errors import InputError
from mot.progress import progress_bar
from nets.checkpoint import CHECKPOINT, State, write_tensors
from nets.precision import use_bf16
from nets.ranks import any_rank, process_group, rank, share_gradients
from nets.run_log import Log
from nets.schedule import ScheduleSettings, build_optimiser, hold_stages, optimiser_for


class Batches(Protocol):
    """Batches (inputs, targets) by number; both have `.to(device)`."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, number: int, /) -> Any:
        """The batch of a number from 0."""


@torch.no_grad()
def mean_loss(net: nn.Module, batches: Batches | None, loss: Callable[[Any, Any], Tensor]) -> float:
    """Mean loss of a net in evaluation over all validation batches; NaN without any.

    Args:
        net: that is judged.
        batches: (inputs, targets) by number, or None.
        loss: (what the net says of the inputs, targets) → scalar.
    """
    if batches is None:
        return math.nan
    net.eval()
    device = next(net.parameters()).device
    losses = []
    for number in range(len(batches)):
        inputs, targets = (part.to(device) for part in batches[number])
        losses.append(float(loss(net(inputs), targets)))
    return sum(losses) / len(losses)


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
    chosen = found if name == "auto" else name
    local = os.environ.get("LOCAL_RANK", "0")  # set by torchrun: one GPU per process
    return torch.device(f"cuda:{local}" if chosen == "cuda" else chosen)


@dataclass(frozen=True)
class Job:
    """What to train: a net, where batches come from, what a batch's loss is, what to log.

    Attributes:
        net: in place; its parameters under `trunk` (if it has one) take the trunk's rate.
        batches: first step → batches (frames, targets) from that step on; both have `.to(device)`.
        loss: (net, batch) → (scalar, sums by name); sums are added up between two log rows, from
            what `carry` left. Those called `NAME_loss` are parts of the loss.
        row: (sums, steps) → columns of a log row.
        carry: (sums, steps) → with what the next row's sums begin.
        save: weights → None, writes RUN/weights.safetensors.
        watch: (step, sums, row) → sentences of the doctor.
        draw: pictures log.csv as curves.png.
        validate: net → validation loss, NaN where there is nothing to validate on.
    """

    net: nn.Module
    batches: Callable[[int], Iterable[Any]]
    loss: Callable[[nn.Module, Any], tuple[Tensor, dict[str, Any]]]
    row: Callable[[dict[str, Any], int], dict[str, float]]
    carry: Callable[[dict[str, Any], int], dict[str, Any]]
    save: Callable[[Mapping[str, Tensor]], None]
    watch: Callable[[int, dict[str, Any], dict[str, float]], list[str]]
    draw: Callable[[], None]
    validate: Callable[[nn.Module], float]


def train(job: Job, settings: ScheduleSettings, run: Path, *, config: str, resume: bool) -> None:
    """Train until max_steps, Ctrl-C or a loss that is not finite; leave the run folder complete.

    Args:
        job: what to train.
        settings: schedule.
        run: folder for checkpoint.pt, log.csv, weights.safetensors, curves.png, TensorBoard.
        config: all settings as YAML; a resumed run must have the same (but for `MAY_DIFFER`).
        resume: continue from run/checkpoint.pt, bit for bit as if it had not stopped.

    Raises:
        InputError: a loss or gradient that is not finite (what was learned before is saved, the
            batch in run/bad_batch.pt), or nothing to resume.
        KeyboardInterrupt: after Ctrl-C, when everything has been saved.
    """
    device = choose_device(settings.device)
    # torch's stubs lack .to(memory_format=…) for modules.
    net = cast(Any, job.net).to(device, memory_format=torch.channels_last)
    state = State(0, net, _running_mean(net, settings.ema), build_optimiser(net, settings))
    if resume:
        state.load(run / CHECKPOINT, config, lambda step: build_optimiser(net, settings, step))
    with process_group(device), _stop_on_signal() as stop, _open_log(run, state.step) as log:
        try:
            _loop(state, job, settings, stop, log, lambda: _save(state, job, run, config))
        except _NotFinite as error:
            if log:
                _save(state, job, run, config)
            raise _keep_bad_batch(run, error, state.step) from error
        if log:
            _save(state, job, run, config)
    if stop.asked:
        raise KeyboardInterrupt


def _loop(
    state: State,
    job: Job,
    settings: ScheduleSettings,
    stop: _Stop,
    log: Log | None,
    save: Callable[[], None],
) -> None:
    """Steps until the last one, or until a stop is asked for in any process."""
    device = next(state.net.parameters()).device
    model = share_gradients(state.net, some_rest=settings.unfreeze_step > 0)
    bf16 = use_bf16(settings.amp, device)
    saved_at = time.monotonic()
    batches = iter(job.batches(state.step))
    shown = log is not None
    with progress_bar(settings.max_steps, unit="step", start=state.step, shown=shown) as bar:
        while state.step < settings.max_steps and not any_rank(stop.asked, device):
            batch = _next_batch(batches, stop)
            if batch is None:
                break
            sums = _step(state, model, job, batch, settings, bf16)
            state.sums = {name: state.sums.get(name, 0) + value for name, value in sums.items()}
            bar.update()
            if state.step % settings.log_every == 0 or state.step == settings.max_steps:
                _log_row(state, job, settings, log, bar)
            if log and time.monotonic() - saved_at > 60 * settings.checkpoint_minutes:
                save()
                saved_at = time.monotonic()


def _next_batch(batches: Iterator[Any], stop: _Stop) -> Any:
    """Next batch; None where there is no more, or a loader died of the Ctrl-C that stops us too."""
    try:
        return next(batches, None)
    except RuntimeError:
        if stop.asked:
            return None
        raise


def _step(
    state: State,
    model: nn.Module,
    job: Job,
    batch: Any,
    settings: ScheduleSettings,
    bf16: bool,
) -> dict[str, Any]:
    """One optimiser step; returns the sums to log.

    Raises:
        _NotFinite: loss or gradient are not finite; then `state` is as it was before the step.
    """
    device = next(state.net.parameters()).device
    model.train()
    hold_stages(state.net, state.step, settings)
    statistics = [buffer.clone() for buffer in state.net.buffers()]
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        loss, sums = job.loss(model, tuple(part.to(device) for part in batch))
    state.net.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), settings.clip_grad or math.inf)
    sums = sums | {"loss": float(loss.detach()), "grad_norm": float(norm)}
    good = math.isfinite(sums["loss"]) and math.isfinite(sums["grad_norm"])
    if any_rank(not good, device):
        with torch.no_grad():
            for buffer, before in zip(state.net.buffers(), statistics, strict=True):
                buffer.copy_(before)
        raise _NotFinite(_not_finite(sums), None if good else batch)
    state.optimiser = optimiser_for(state.step, state.optimiser, state.net, settings)
    state.optimiser.step()
    if state.average is not None:
        state.average.update_parameters(state.net)
    state.step += 1
    return sums


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


class _NotFinite(ArithmeticError):
    """A step that cannot be taken: what is not finite, and the batch (None: another process's)."""

    def __init__(self, what: str, batch: Any) -> None:
        super().__init__(what)
        self.what, self.batch = what, batch


def _not_finite(sums: Mapping[str, Any]) -> str:
    """Name what is NaN or infinite in a step: a part of the loss where one is."""
    names = sorted(sums, key=lambda name: (not name.endswith("_loss"), name != "loss"))
    for name in names:
        if isinstance(sums[name], float) and not math.isfinite(sums[name]):
            return f"{name.replace('_', ' ')} {sums[name]}"
    return "a loss or gradient that is not finite in another process"


def _keep_bad_batch(run: Path, error: _NotFinite, step: int) -> InputError:
    """Save the batch that broke a step and make the message for it."""
    got = f"{error.what} in the step after {step}"
    remedy = (
        f"look at the batch, lower --lr or set --amp off, and go on in a new --out "
        f"with --weights {run / 'weights.safetensors'}"
    )
    path = run / ("bad_batch.pt" if rank() == 0 else f"bad_batch-{rank()}.pt")
    if error.batch is None:
        return InputError(run, "a finite loss and gradient", got, remedy)
    write_tensors(path, [part if isinstance(part, Tensor) else vars(part) for part in error.batch])
    return InputError(path, "a finite loss and gradient", got, remedy)


def _save(state: State, job: Job, run: Path, config: str) -> None:
    state.save(run / CHECKPOINT, config)
    job.save(state.evaluated.state_dict())
    job.draw()


def _log_row(
    state: State, job: Job, settings: ScheduleSettings, log: Log | None, bar: tqdm[Any]
) -> None:
    """Turn the sums since the last row into a row, in the process that has the log."""
    steps = (state.step - 1) % settings.log_every + 1
    sums, state.sums = state.sums, job.carry(state.sums, steps)
    if log is None:
        return
    row = {"step": float(state.step)} | job.row(sums, steps)
    row["lr"] = state.optimiser.param_groups[-1]["lr"]
    due = state.step % settings.val_every < settings.log_every
    last = state.step == settings.max_steps
    row["val_loss"] = job.validate(state.evaluated) if due or last else math.nan
    sentences = job.watch(state.step, sums, row)
    for sentence in sentences:
        bar.write(f"doctor: step {state.step}: {sentence}", file=sys.stderr)
    bar.set_postfix(loss=f"{row['loss']:.3f}")
    log.write(row, sentences)


@contextmanager
def _open_log(run: Path, step: int) -> Iterator[Log | None]:
    """The log in the process that writes, None in the others."""
    if rank() != 0:
        yield None
        return
    log = Log(run, step)
    try:
        yield log
    finally:
        log.close()


class _Stop:
    """Whether a signal has asked the loop to end after the current step."""

    asked = False


@contextmanager
def _stop_on_signal() -> Iterator[_Stop]:
    """Turn SIGINT and SIGTERM into a request to stop between steps, so that saving is whole."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # Python allows handlers in the main thread only
        return

    def ask(*_: object) -> None:
        stop.asked = True

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
