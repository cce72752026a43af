"""The training loop, on a net of one layer."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

from mot.errors import InputError
from nets.schedule import OPTIMISERS, ScheduleSettings, build_optimiser, lr_share
from nets.training import Job, choose_device, train
from tests.conftest import press_ctrl_c

CPU = {"device": "cpu", "amp": "off"}


class Line(nn.Module):
    """y = a x + b, with a trunk of two stages so that freezing has something to hold."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Module()
        self.trunk.stages = nn.ModuleList([nn.BatchNorm1d(2), nn.Linear(2, 2)])
        self.head = nn.Linear(2, 1)

    def forward(self, x):
        for stage in self.trunk.stages:
            x = stage(x)
        return self.head(x)


def line_batch(number):
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(number))
    return x, x.sum(dim=1, keepdim=True) + 1


def line_job(**changes):
    torch.manual_seed(0)

    def loss(model, batch):
        value = nn.functional.mse_loss(model(batch[0]), batch[1])
        return value, {"fit_loss": float(value.detach())}

    values = {
        "net": Line(),
        "batches": lambda first: (line_batch(n) for n in range(first, 10**6)),
        "loss": loss,
        "row": lambda sums, steps: {name: value / steps for name, value in sums.items()},
        "carry": lambda sums, steps: {},
        "save": lambda weights: None,
        "watch": lambda step, sums, row: [],
        "draw": lambda: None,
        "validate": lambda net: math.nan,
    }
    return Job(**(values | changes))


def schedule(**changes):
    return ScheduleSettings(**({"max_steps": 6, "log_every": 1, "lr": 0.05, **CPU} | changes))


def run_line(run, job=None, **changes):
    job = line_job() if job is None else job
    train(job, schedule(**changes), run, config="{}", resume=False)
    return pd.read_csv(run / "log.csv")


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns(name, tmp_path):
    log = run_line(tmp_path, optimiser=name, max_steps=40, warmup_steps=3)
    assert log.loss.iloc[-5:].mean() < 0.5 * log.loss.iloc[:3].mean()


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine(tmp_path):
    settings = schedule(max_steps=20, warmup_steps=4)
    shares = [lr_share(step, settings) for step in range(21)]
    assert shares[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert shares[12] == pytest.approx((1 + 0.01) / 2)
    assert shares[20] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in zip(shares[4:], shares[5:], strict=False))
    log = run_line(tmp_path, max_steps=20, warmup_steps=4)
    assert log.lr.tolist() == pytest.approx([0.05 * share for share in shares[:20]], rel=1e-4)


def test_the_trunk_has_its_own_rate_and_norms_do_not_decay():
    net = Line()
    optimiser = build_optimiser(net, schedule(trunk_lr_share=0.1, weight_decay=0.3))
    told = {
        id(parameter): (group["peak_lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    assert told[id(net.trunk.stages[1].weight)] == pytest.approx((0.005, 0.3))
    assert told[id(net.trunk.stages[0].weight)] == pytest.approx((0.005, 0.0))
    assert told[id(net.head.weight)] == pytest.approx((0.05, 0.3))
    assert told[id(net.head.bias)] == pytest.approx((0.05, 0.0))


def test_frozen_stages_keep_weights_and_statistics(tmp_path):
    job = line_job()
    before = {name: value.clone() for name, value in job.net.state_dict().items()}
    run_line(tmp_path, job, freeze=1)
    after = job.net.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        "trunk.stages.1.weight",
        "trunk.stages.1.bias",
        "head.weight",
        "head.bias",
    }
    with pytest.raises(InputError, match="--freeze: expected at most 2 stages, got 3"):
        run_line(tmp_path / "more", freeze=3)


def watched_job(watch):
    """A job that shows its net to `watch` before each step."""
    job = line_job()
    return replace(job, loss=lambda m, b, plain=job.loss: (watch(job.net), plain(m, b))[1])


def trunk_of(net):
    state = net.trunk.stages.state_dict()
    return torch.cat([state[name].flatten().float().clone() for name in sorted(state)])


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_frozen_stages_learn_from_the_step_that_is_named(tmp_path, optimiser):
    """Weights, decay and statistics stand still before it; the head learns all the while."""
    trunks, heads = [], []
    job = watched_job(
        lambda net: (trunks.append(trunk_of(net)), heads.append(net.head.weight.detach().clone()))
    )
    options = {"freeze": 2, "unfreeze_step": 3, "weight_decay": 0.1, "warmup_steps": 0}
    run_line(tmp_path, job, optimiser=optimiser, **options)
    moved = [not torch.equal(a, b) for a, b in zip(trunks, trunks[1:], strict=False)]
    assert moved == [False, False, False, True, True]
    assert not any(torch.equal(a, b) for a, b in zip(heads, heads[1:], strict=False))
    assert bool((trunks[4] != trunks[0]).all())  # every weight and every statistic


def test_a_late_learner_starts_as_at_step_0(tmp_path):
    """Adam corrects its young moments by the steps that it has taken, not by the loop's."""
    run_line(tmp_path, freeze=1, unfreeze_step=4)
    taken = torch.load(tmp_path / "checkpoint.pt")["optimiser"]["state"]
    assert sorted(int(moments["step"]) for moments in taken.values()) == [2, 2, 6, 6, 6, 6]


def test_sgd_takes_over_with_its_own_rate_and_fresh_momentum(tmp_path):
    """Against Nesterov's rule by hand: v = 0.9 v + g, w = w - lr (g + 0.9 v)."""
    seen, slopes = [], []
    job = watched_job(lambda net: seen.append(net.head.weight.detach().clone()))
    job.net.head.weight.register_post_accumulate_grad_hook(lambda w: slopes.append(w.grad.clone()))
    options = {"sgd_from": 3, "sgd_lr": 0.2, "weight_decay": 0.0, "clip_grad": 0.0}
    log = run_line(tmp_path, job, warmup_steps=0, **options)
    shares = [lr_share(step, schedule(warmup_steps=0)) for step in range(6)]
    assert log.lr[:3].tolist() == pytest.approx([0.05 * share for share in shares[:3]], rel=1e-4)
    assert log.lr[3:].tolist() == pytest.approx([0.2 * share for share in shares[3:]], rel=1e-4)
    weight, speed = seen[3], torch.zeros(1, 2)
    for slope, share in zip(slopes[3:], shares[3:], strict=True):
        speed = 0.9 * speed + slope
        weight = weight - 0.2 * share * (slope + 0.9 * speed)
    torch.testing.assert_close(job.net.head.weight.detach(), weight)


def same_values(one, other):
    """Whether two nested structures of tensors are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_values(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return all(same_values(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("stop_at", range(1, 6))
@pytest.mark.parametrize(
    "late", [{"sgd_from": 2}, {"sgd_from": 2, "unfreeze_step": 4}, {"sgd_from": 4}], ids=str
)
def test_resumed_is_uninterrupted_across_every_switch(tmp_path, late, stop_at):
    settings = schedule(**({"freeze": 1, "unfreeze_step": 3} | late))
    train(line_job(), settings, tmp_path / "whole", config="{}", resume=False)
    calls = []

    def press(net):
        calls.append(1)
        if len(calls) == stop_at:
            press_ctrl_c()

    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        train(watched_job(press), settings, parts, config="{}", resume=False)
    assert torch.load(parts / "checkpoint.pt")["step"] == stop_at
    train(line_job(), settings, parts, config="{}", resume=True)
    assert (tmp_path / "whole/log.csv").read_text() == (parts / "log.csv").read_text()
    contents = [torch.load(run / "checkpoint.pt") for run in (tmp_path / "whole", parts)]
    assert same_values(*contents)
    assert contents[0]["optimiser"]["param_groups"][0]["nesterov"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"unfreeze_step": -1, "freeze": 1}, "--unfreeze-step: expected a step below --max-steps"),
        ({"unfreeze_step": 6, "freeze": 1}, "--unfreeze-step: expected a step below --max-steps 6"),
        ({"unfreeze_step": 2}, "--unfreeze-step: expected 0 without --freeze, got 2"),
        ({"sgd_from": -1}, "--sgd-from: expected a step below"),
        ({"sgd_from": 6}, "--sgd-from: expected a step below --max-steps 6"),
        ({"sgd_from": 2, "optimiser": "sgd"}, "--sgd-from: expected 0 with --optimiser sgd, got 2"),
        ({"sgd_lr": 0.0}, "--sgd-lr: expected above 0"),
        ({"sgd_lr": math.nan}, "--sgd-lr: expected above 0"),
    ],
)
def test_late_steps_that_cannot_be(values, complaint):
    with pytest.raises(InputError, match=complaint):
        schedule(**values)


def test_the_running_mean_is_saved(tmp_path):
    """Its decay is min(ema, (1 + n) / (10 + n)) after n updates; the first copies the net."""
    seen, saved = [], []
    job = line_job(save=lambda weights: saved.append({k: v.clone() for k, v in weights.items()}))
    plain = job.loss
    net = job.net
    job = replace(
        job, loss=lambda m, b: (seen.append(net.head.weight.detach().clone()), plain(m, b))[1]
    )
    run_line(tmp_path, job, max_steps=5, ema=0.3)
    steps = [*seen[1:], net.head.weight.detach()]
    mean = steps[0]
    for number, weight in enumerate(steps[1:], start=1):
        decay = min(0.3, (1 + number) / (10 + number))
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(saved[-1]["head.weight"], mean)
    job = line_job(save=lambda weights: saved.append(dict(weights)))
    run_line(tmp_path / "off", job, ema=0.0)
    assert torch.equal(saved[-1]["head.weight"], job.net.head.weight)


def test_gradients_are_clipped(tmp_path):
    job = line_job()
    start = job.net.head.weight.detach().clone()
    options = {"optimiser": "sgd", "max_steps": 1, "warmup_steps": 0, "lr": 1.0}
    log = run_line(tmp_path, job, clip_grad=1e-3, **options)
    assert log.grad_norm[0] > 0.1
    assert (job.net.head.weight - start).norm() < 2.1e-3  # nesterov: 1 + 0.9 times the gradient
    job = line_job()
    run_line(tmp_path / "off", job, clip_grad=0.0, **options)
    assert (job.net.head.weight - start).norm() > 0.1


def test_rows_are_means_over_their_steps(tmp_path):
    each = run_line(tmp_path / "each")
    rows = run_line(tmp_path / "rows", log_every=4)
    assert rows.step.tolist() == [4, 6]
    assert rows.loss[0] == pytest.approx(each.loss[:4].mean(), rel=1e-4)
    assert rows.loss[1] == pytest.approx(each.loss[4:].mean(), rel=1e-4)


def test_validation_comes_when_it_is_due_and_at_the_end(tmp_path):
    log = run_line(
        tmp_path, line_job(validate=lambda net: 7.0), max_steps=9, val_every=4, log_every=2
    )
    assert log.step[log.val_loss == 7].tolist() == [4, 8, 9]
    assert log.val_loss.isna().sum() == 2


def test_the_doctors_words_stand_in_the_log(tmp_path, capsys):
    job = line_job(watch=lambda step, sums, row: ["channel 3 is dead, 0.0; a, b"][: step == 2])
    log = run_line(tmp_path, job, max_steps=3)
    assert log.doctor.fillna("").tolist() == ["", "channel 3 is dead, 0.0; a, b", ""]
    assert "doctor: step 2: channel 3 is dead" in capsys.readouterr().err


def test_checkpoints_are_written_every_so_many_minutes(tmp_path):
    saved = []
    run_line(tmp_path, line_job(save=lambda weights: saved.append(1)), checkpoint_minutes=0.0)
    assert len(saved) == 6 + 1
    run_line(tmp_path / "rare", line_job(save=lambda weights: saved.append(1)))
    assert len(saved) == 6 + 1 + 1


def test_training_in_a_thread_needs_no_signal_handlers(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(run_line, tmp_path).result()) == 6


def test_devices_that_are_not_there_are_named():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="--device: expected auto, cpu or"):
        choose_device("tpu")


def test_an_infinite_gradient_is_not_stepped_along(tmp_path):
    job = line_job()
    plain = job.loss

    def loss(model, batch):
        value, sums = plain(model, batch)
        return value + torch.sqrt((model.head.weight * 0).abs().sum()), sums  # slope infinity at 0

    with pytest.raises(InputError, match="grad norm nan in the step after 0"):
        run_line(tmp_path, replace(job, loss=loss))
    assert all(torch.isfinite(value).all() for value in job.net.state_dict().values())
