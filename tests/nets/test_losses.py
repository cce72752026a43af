import dataclasses
import math

import pytest
import torch

from mot.errors import InputError
from nets.losses import (
    DENSITY_LOSSES,
    L1_SHARE,
    LossSettings,
    Targets,
    box_loss,
    centre_loss,
    density_loss,
    motion_loss,
    seg_loss,
    total_loss,
)
from nets.repulsion import repulsion_loss

UNIT = 0.02  # people per cell
STRIDE = 4
SHAPE = (2, 3, 4, 5)
ALL = ("mse", "l1", "focal", "count")


def maps(seed=0, shape=SHAPE, scale=0.05):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.rand(shape, generator=generator)


def some_valid():
    return (maps(7, scale=1.0) > 0.3).float()


def gradient(loss, start):
    leaf = start.clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    return value.item(), leaf.grad


@pytest.mark.parametrize("names", [*((n,) for n in ALL), ALL])
def test_labelrate_changes_neither_loss_nor_gradient(names):
    found = []
    for labelrate in (1.0, 30.0, 100.0, 5000.0):
        settings = LossSettings(loss=names, labelrate=labelrate)
        found.append(
            gradient(lambda p, s=settings: density_loss(p, maps(1), some_valid(), s, UNIT), maps())
        )
    for value, slope in found[1:]:
        assert value == found[0][0]
        assert torch.equal(slope, found[0][1])


@pytest.mark.parametrize(("name", "power"), [("mse", 2), ("l1", 1), ("count", 1)])
def test_raw_losses_grow_with_labelrate(name, power):
    def loss(labelrate):
        settings = LossSettings(loss=(name,), labelrate=labelrate, raw_loss=True)
        return density_loss(maps(), maps(1), some_valid(), settings, UNIT).item()

    assert loss(30.0) == pytest.approx(30.0**power * loss(1.0), rel=1e-4)


def naive_density_loss(name, predicted, target, valid, unit):
    """Per frame: (sum over valid cells, count of valid cells), with errors in units of `unit`."""
    results = []
    for b in range(SHAPE[0]):
        for t in range(SHAPE[1]):
            total, cells, signed = 0.0, 0, 0.0
            for row in range(SHAPE[2]):
                for column in range(SHAPE[3]):
                    if not valid[b, t, row, column]:
                        continue
                    cells += 1
                    e = (predicted[b, t, row, column] - target[b, t, row, column]).item() / unit
                    signed += e
                    damp = 2 / (1 + math.exp(-abs(e))) - 1
                    total += {"mse": e * e, "l1": abs(e), "focal": damp * abs(e), "count": 0}[name]
            results.append((abs(signed) if name == "count" else total, cells))
    return results


@pytest.mark.parametrize("name", ALL)
def test_density_losses_agree_with_loops(name):
    predicted, target, valid = maps(), maps(1), some_valid()
    settings = LossSettings(loss=(name,), labelrate=30.0)
    frames = naive_density_loss(name, predicted, target, valid, UNIT)
    expected = (
        DENSITY_LOSSES[name].share * sum(total / cells for total, cells in frames) / len(frames)
    )
    found = density_loss(predicted, target, valid, settings, UNIT).item()
    assert found == pytest.approx(expected, rel=1e-4)

    raw = LossSettings(loss=(name,), labelrate=30.0, raw_loss=True)
    frames = naive_density_loss(name, predicted, target, valid, 1 / 30.0)
    expected = sum(total for total, _ in frames) / len(frames)
    found = density_loss(predicted, target, valid, raw, UNIT).item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_centre_loss_is_cornernets():
    """-1/N Σ (1-p)^2 log p at centres, (1-y)^4 p^2 log(1-p) elsewhere (arXiv:1808.01244, eq. 1)."""
    logits, heat, valid = maps(2, scale=4.0) - 2, maps(3, scale=0.99), some_valid()
    heat[0, 0, 1, 1] = heat[1, 2, 3, 4] = 1.0
    valid[0, 0, 1, 1] = valid[1, 2, 3, 4] = 1.0
    total, centres = 0.0, 0
    for x, y, v in zip(logits.flatten(), heat.flatten(), valid.flatten(), strict=True):
        if not v:
            continue
        p = 1 / (1 + math.exp(-x.item()))
        if y == 1:
            centres += 1
            total += (1 - p) ** 2 * math.log(p)
        else:
            total += (1 - y.item()) ** 4 * p**2 * math.log(1 - p)
    assert centres == 2
    assert centre_loss(logits, heat, valid).item() == pytest.approx(-total / 2, rel=1e-4)


def test_centre_loss_survives_certainty():
    logits = torch.tensor([80.0, -80.0]).expand(1, 1, 1, 2)
    heat = torch.tensor([0.0, 1.0]).expand(1, 1, 1, 2)
    value, slope = gradient(lambda x: centre_loss(x, heat, torch.ones(1, 1, 1, 2)), logits)
    assert value == pytest.approx(160.0)
    assert torch.isfinite(slope).all()


def one_cell_box_loss(pred, true):
    as_map = [torch.tensor(v, dtype=torch.float32).view(1, 1, 4, 1, 1) for v in (pred, true)]
    return box_loss(*as_map, torch.ones(1, 1, 1, 1)).item()


@pytest.mark.parametrize(
    ("pred", "true", "giou", "relative"),
    [
        ((5, 5, 5, 5), (5, 5, 5, 5), 1.0, 0.0),  # the same box
        # A centred box of half the width: intersection 5x10 of union and hull 10x10.
        ((2.5, 5, 2.5, 5), (5, 5, 5, 5), 0.5, 0.5),
        # The true box lies right of the cell, x 10..20, the other x -1..1, both y -5..5:
        # no intersection, union 20 + 100, hull 21 x 10.
        ((1, 5, 1, 5), (-10, 5, 20, 5), -(210 - 120) / 210, (11 + 19) / 10),
    ],
)
def test_giou_by_hand(pred, true, giou, relative):
    expected = 1 - giou + L1_SHARE * relative
    assert one_cell_box_loss(pred, true) == pytest.approx(expected, abs=1e-5)


def test_box_loss_weighs_its_cells_and_ignores_the_others():
    pred = torch.full((1, 1, 4, 1, 3), 5.0)
    true = pred.clone()
    true[..., 1] *= 2  # loss of this cell: IoU 1/4, relative error 4 x 5/20
    true[..., 2] = float("nan")
    weight = torch.tensor([0.75, 0.25, 0.0]).view(1, 1, 1, 3)
    expected = 0.25 * (1 - 0.25 + L1_SHARE * 1.0)
    value, slope = gradient(lambda p: box_loss(p, true, weight), pred)
    assert value == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(slope).all()
    assert (slope[..., 2] == 0).all()


def test_motion_loss_by_hand():
    pred = torch.tensor([[1.0, 0.0], [2.0, 5.0]]).view(1, 1, 2, 1, 2)
    true = torch.zeros(1, 1, 2, 1, 2)
    weight = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    assert motion_loss(pred, true, weight).item() == pytest.approx((3 + 3 * 5) / 4)


def net_maps(seed=0):
    return {
        "density": maps(seed, (2, 3, 1, 4, 5)),
        "centre": maps(seed + 1, (2, 3, 1, 4, 5), 4.0) - 2,
        "box": 1 + maps(seed + 2, (2, 3, 4, 4, 5), 20.0),
        "motion": maps(seed + 3, (2, 3, 2, 4, 5), 3.0),
        "seg": maps(seed + 4, (2, 3, 1, 4, 5), 4.0) - 2,
    }


def targets(valid=None, people=True):
    weight = (maps(12, scale=1.0) > 0.8).float() * people
    heat = torch.where(weight > 0, 1.0, maps(13, scale=0.9)) * people
    valid = torch.ones(SHAPE) if valid is None else valid
    box = 5 + maps(14, (2, 3, 4, 4, 5), 20.0)
    motion = maps(15, (2, 3, 2, 4, 5), 3.0)
    # As clips makes them: cells that a person owns are never ignored.
    return Targets(
        maps(11) * people, heat, box, weight * valid, valid, valid, motion, weight * valid, weight
    )


def test_nothing_is_taught_under_an_ignore_region():
    valid = torch.ones(SHAPE)
    valid[:, :, :2] = 0
    predicted = {name: value.requires_grad_() for name, value in net_maps().items()}
    settings = LossSettings(loss=ALL)
    total_loss(predicted, targets(valid), settings, UNIT, STRIDE)[0].backward()
    for name, value in predicted.items():
        assert (value.grad[..., :2, :] == 0).all(), name
        assert (value.grad[..., 2:, :] != 0).any(), name


def test_where_people_are_hidden_no_centre_is_taught_but_they_are_counted():
    detectable = torch.ones(SHAPE)
    detectable[:, :, :2] = 0
    truth = dataclasses.replace(targets(), detectable=detectable)
    predicted = {name: value.requires_grad_() for name, value in net_maps().items()}
    total_loss(predicted, truth, LossSettings(), UNIT, STRIDE)[0].backward()
    assert (predicted["centre"].grad[..., :2, :] == 0).all()
    assert (predicted["centre"].grad[..., 2:, :] != 0).any()
    assert (predicted["density"].grad[..., :2, :] != 0).any()


@pytest.mark.parametrize("valid", [None, torch.zeros(SHAPE)], ids=["nobody", "all ignored"])
@pytest.mark.parametrize("raw", [False, True])
def test_a_batch_without_people_has_a_finite_loss_and_gradient(raw, valid):
    predicted = {name: value.requires_grad_() for name, value in net_maps().items()}
    settings = LossSettings(loss=ALL, raw_loss=raw)
    loss, parts = total_loss(predicted, targets(valid, people=False), settings, UNIT, STRIDE)
    loss.backward()
    assert math.isfinite(loss.item())
    assert parts["box"] == 0
    assert parts["motion"] == 0
    # Every head gets a gradient, be it 0: processes that train together wait for each of them.
    assert all(torch.isfinite(value.grad).all() for value in predicted.values())


def test_the_total_weighs_its_parts_and_density_alone_counts_in_full():
    settings = LossSettings(density_weight=0.3, centre_weight=2.0, box_weight=0.5)
    loss, parts = total_loss(net_maps(), targets(), settings, UNIT, STRIDE)
    weights = {"density": 0.3, "centre": 2.0, "box": 0.5, "motion": 0.1, "seg": 1.0}
    assert loss.item() == pytest.approx(sum(weights[n] * p.item() for n, p in parts.items()))
    alone = {"density": net_maps()["density"]}
    loss, parts = total_loss(alone, targets(), settings, UNIT, STRIDE)
    assert loss.item() == pytest.approx(parts["density"].item())


def test_repulsion_joins_the_total_with_its_weight():
    truth, maps = targets(), net_maps()
    loss, parts = total_loss(maps, truth, LossSettings(repulsion_weight=0.7), UNIT, STRIDE)
    without, _ = total_loss(maps, truth, LossSettings(), UNIT, STRIDE)
    expected = repulsion_loss(maps["box"], truth.box, truth.box_weight, STRIDE)
    assert parts["repulsion"] == expected > 0
    assert loss.item() == pytest.approx(without.item() + 0.7 * expected.item())


def test_every_frame_of_a_clip_weighs_the_same():
    settings = LossSettings(loss=("mse", "count"))
    target = torch.zeros(SHAPE)
    for frame in range(3):
        predicted = torch.zeros(SHAPE)
        predicted[:, frame, 1, 1] = 0.4
        value = density_loss(predicted, target, torch.ones(SHAPE), settings, UNIT).item()
        mse, count = (DENSITY_LOSSES[name].share for name in ("mse", "count"))
        assert value == pytest.approx(mse * 400 / 60 + count * 20 / 60)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"loss": ()}, "--loss"),
        ({"loss": ("huber",)}, "--loss"),
        ({"labelrate": 0}, "--labelrate"),
        ({"labelrate": float("nan")}, "--labelrate"),
        ({"label": "round"}, "--label"),
        ({"label": "centre"}, "--label"),  # a heatmap: its sum is no head count
        ({"box_weight": -1.0}, "--box-weight"),
        ({"raw_loss": True, "target": "seg"}, "--raw-loss"),
    ],
)
def test_unusable_settings_are_refused(change, flag):
    with pytest.raises(InputError, match=f"^{flag}: expected"):
        LossSettings(**change)


@pytest.mark.parametrize(("weight", "smooth"), [(1.0, 0.0), (3.0, 0.0), (0.5, 0.2)])
def test_the_mask_loss_is_a_weighted_mean_of_entropies(weight, smooth):
    """Against a loop over cells with the logarithms written out."""
    logits, mask = maps(1, scale=6.0) - 3, (maps(2, scale=1.0) > 0.6).float()
    valid = some_valid()
    total = weights = 0.0
    for z, y, v in zip(logits.flatten(), mask.flatten(), valid.flatten(), strict=True):
        p, share = 1 / (1 + math.exp(-z)), (weight if y else 1.0) * float(v)
        asked = (1 - smooth / 2) if y else smooth / 2
        total += share * -(asked * math.log(p) + (1 - asked) * math.log(1 - p))
        weights += share
    settings = LossSettings(positive_weight=weight, label_smoothing=smooth)
    found = seg_loss(logits, mask, valid, settings).item()
    assert found == pytest.approx(total / weights, rel=1e-4)


def test_smoothed_labels_ask_for_no_certainty():
    """The least loss is at the logit of 1 − s/2 inside the mask."""
    settings = LossSettings(label_smoothing=0.2)
    logits = torch.zeros((1, 1, 1, 1), requires_grad=True)
    ones = torch.ones((1, 1, 1, 1))
    with torch.no_grad():
        logits += math.log(0.9 / 0.1)
    seg_loss(logits, ones, ones, settings).backward()
    assert logits.grad.item() == pytest.approx(0, abs=1e-6)
