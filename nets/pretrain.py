"""Teach a trunk to tell people from background before it maps them: `python -m nets.pretrain`.

A classifier over crops, of rendered scenes or of sequences and photos with a truth. Its trunk is
what counts: `train.py --weights RUN/weights.safetensors` starts any net of the same --backbone,
--width and --norm from it. In 2019 such a classifier gave one answer for every image and went
unnoticed, its loss being that of the class shares; here the prediction diversity
(`nets.diversity`) is logged, and the failure has a name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.splits import recording_of
from mot.yaml_settings import yaml_text
from nets.backbones import Backbone, build_backbone
from nets.checkpoint import require_startable
from nets.clips import Source
from nets.curves import draw_curves
from nets.diversity import diversity, spread
from nets.doctor import Doctor, same_answer
from nets.loader import load_batches
from nets.person_crops import PERSON, CropSettings, PersonCrops
from nets.recipe import DataSettings
from nets.run_log import LOG
from nets.schedule import ScheduleSettings
from nets.sources import (
    rendered_sources,
    training_sources,
    validation_sources,
)
from nets.training import Job, train
from nets.weights import check_state, load_image_weights, load_weights, save_weights, settle_norms

CLASSES = ("background", "person")
HELD_OUT_SCENES = 4  # rendered scenes to test on, where there is no --data
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class PretrainFlags:
    """Train a trunk as a classifier of crops, person or background."""

    data: DataSettings = field(default_factory=DataSettings)
    out: str = "runs/pretrain"
    """Folder of the run: config.yaml, log.csv, weights.safetensors, curves.png, checkpoint.pt."""
    backbone: str = "vgg16"
    """Trunk: vgg16, resnet18, resnet50, seresnet50, mobilenetv2, osnet, small."""
    width: float = 0.25
    """Multiplier on the trunk's channels."""
    norm: str = "batch"
    """Normalisation in the trunk: batch, group or none."""
    deepest: int = 16
    """Stride of the trunk's deepest feature map: 8, 16 or 32."""
    weights: str = "none"
    """Image weights to start from: imagenet, none, or a .safetensors file."""
    crops: CropSettings = field(default_factory=CropSettings)
    label_smoothing: float = 0.1
    """Share of a target that is spread over both classes."""
    class_weights: tuple[float, ...] = ()
    """Weights of background and person in the loss; none = inverse to their shares of the crops."""
    held_out: int = 1000
    """Crops to test on when the training is done."""
    schedule: ScheduleSettings = field(default_factory=lambda: ScheduleSettings(batch=64))
    resume: bool = False
    """Continue the run in --out from its checkpoint; the flags must be the same."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_weights", tuple(self.class_weights))
        smooth = 0 <= self.label_smoothing < 1
        require_setting(self, "label_smoothing", smooth, "a share in [0, 1)")
        two = len(self.class_weights) in (0, 2) and all(w > 0 for w in self.class_weights)
        require_setting(self, "class_weights", two, "none, or two above 0: background, person")
        require_setting(self, "held_out", self.held_out >= 2, "at least 2")

    @property
    def balance(self) -> tuple[float, float]:
        """Weights of background and person in the loss."""
        if self.class_weights:
            return self.class_weights[0], self.class_weights[1]
        share = self.crops.person_share
        return 0.5 / (1 - share), 0.5 / share


class CropClassifier(nn.Module):
    """Trunk, mean over the picture, one linear layer to the two classes' logits."""

    def __init__(self, trunk: Backbone) -> None:
        super().__init__()
        self.trunk = trunk
        self.classify = nn.Linear(trunk.channels[-1], len(CLASSES))
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def forward(self, crops: Tensor) -> Tensor:
        """Map crops (B, 3, H, W), RGB in 0..255, to logits (B, 2)."""
        logits: Tensor = self.classify(self.trunk(crops.float())[-1].mean(dim=(2, 3)))
        return logits


@dataclass(frozen=True)
class Judgement:
    """How a classifier does on crops that it has not seen.

    Attributes:
        crops: number of them.
        accuracy: share that it names right.
        of_class: the same of each class.
        diversity: spread of its probabilities over that of the truths.
    """

    crops: int
    accuracy: float
    of_class: tuple[float, ...]
    diversity: float

    def __str__(self) -> str:
        each = ", ".join(f"{n} {a:.1%}" for n, a in zip(CLASSES, self.of_class, strict=True))
        named = f"held out: {self.accuracy:.1%} of {self.crops} crops named right ({each})"
        return f"{named}; prediction diversity {self.diversity:.2f}"


def run_pretraining(flags: PretrainFlags) -> Judgement:
    """Train a classifier as the flags say, leave its run folder complete, and judge it.

    Raises:
        InputError: data, weights or settings that cannot be used, or a run that is in the way.
    """
    run, config = Path(flags.out), yaml_text(replace(flags, out="", resume=False))
    require_startable(run, config, resume=flags.resume)
    schedule = flags.schedule
    torch.manual_seed(schedule.seed)
    net = CropClassifier(_trunk(flags))
    (sources, shares), held_out = open_sources(flags.data)
    crops = PersonCrops(
        sources, shares, flags.crops, schedule.batch, schedule.seed, schedule.max_steps
    )
    plain = replace(flags.crops, colour=0)
    batches = -(-flags.held_out // schedule.batch)
    unseen = PersonCrops(held_out, [1.0] * len(held_out), plain, schedule.batch, 0, batches)
    if not flags.resume:
        report = load_image_weights(net.trunk, flags.weights)
        if report.folded:
            settle_norms(net.trunk, crops[0][0].float(), report.folded)
        print(f"start: {report}", file=sys.stderr)
    write_text(run / "config.yaml", config)
    job = pretrain_job(net, crops, flags, run)
    train(job, schedule, run, config=config, resume=flags.resume)
    state, _ = load_weights(run / WEIGHTS)
    check_state(net, state, where=str(run / WEIGHTS))
    net.load_state_dict(state)
    return judge(net, unseen)


def _trunk(flags: PretrainFlags) -> Backbone:
    return build_backbone(flags.backbone, width=flags.width, norm=flags.norm, deepest=flags.deepest)


def open_sources(settings: DataSettings) -> tuple[tuple[list[Source], list[float]], list[Source]]:
    """Sources and shares to learn from, and sources to test on, of other recordings.

    Without --val-seqs, rendered scenes of another split, or the last of several sequences, or of
    several folders of photos, that show anybody.

    Raises:
        InputError: nothing to test on, or nothing else to learn from.
    """
    sources, shares = training_sources(settings)
    if settings.val_seqs:
        return (sources, shares), validation_sources(settings)
    if settings.data is None and not settings.train_seqs and not settings.stills:
        return (sources, shares), rendered_sources(settings, HELD_OUT_SCENES, "val")
    peopled = [s for s in sources if any(len(s.people(k).ltwh) for k in range(s.length))]
    unseen = max(peopled, key=lambda s: (not s.still, sources.index(s)), default=None)
    kept = [
        (source, share)
        for source, share in zip(sources, shares, strict=True)
        if unseen is None or recording_of(source.name) != recording_of(unseen.name)
    ]
    if unseen is None or not any(source in peopled for source, _ in kept):
        raise InputError("--val-seqs", "a sequence to test on", "none", "name one")
    return ([source for source, _ in kept], [share for _, share in kept]), [unseen]


def pretrain_job(net: CropClassifier, crops: PersonCrops, flags: PretrainFlags, run: Path) -> Job:
    """Put together how to train a classifier of crops."""
    balance = torch.tensor(flags.balance)
    trunk = {name: asdict(flags)[name] for name in ("backbone", "width", "norm", "deepest")}
    doctor = Doctor(len(CLASSES))

    def loss_and_sums(
        model: nn.Module, batch: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Any]]:
        images, kind = batch
        logits = model(images).float()
        weight = balance.to(logits.device)
        loss = F.cross_entropy(logits, kind, weight, label_smoothing=flags.label_smoothing)
        return loss, _sums(logits.detach(), kind)

    def row(sums: dict[str, Any], steps: int) -> dict[str, float]:
        answers = diversity(*(float(sums[n]) for n in ("pred_spread", "true_spread", "true_mean")))
        means = {name: sums[name] / steps for name in ("loss", "accuracy", "grad_norm")}
        return means | {"diversity": answers}

    def watch(step: int, sums: dict[str, Any], row: dict[str, float]) -> list[str]:
        masses = sums["pred_mass"].numpy(), sums["true_mass"].numpy()
        return doctor.update(step, *masses, row["diversity"], row["grad_norm"], row["loss"])

    def save(weights: Mapping[str, Tensor]) -> None:
        save_weights(run / WEIGHTS, dict(weights), {"trunk": json.dumps(trunk)})

    return Job(
        net=net,
        batches=lambda first: load_batches(crops, first, flags.schedule.workers),
        loss=loss_and_sums,
        row=row,
        carry=lambda sums, steps: {},
        save=save,
        watch=watch,
        draw=lambda: draw_curves(run / LOG, run / "curves.png"),
        validate=lambda model: float("nan"),
    )


def _sums(logits: Tensor, kind: Tensor) -> dict[str, Any]:
    """What the log adds up: crops per class, said and true; spreads; the share named right."""
    said = torch.softmax(logits, dim=1)
    true = F.one_hot(kind, len(CLASSES)).float()
    return {
        "accuracy": float((said.argmax(dim=1) == kind).float().mean()),
        "pred_mass": said.sum(dim=0).cpu(),
        "true_mass": true.sum(dim=0).cpu(),
        "pred_spread": spread(said),
        "true_spread": spread(true),
        "true_mean": true.mean().cpu(),
    }


@torch.no_grad()
def judge(net: CropClassifier, crops: PersonCrops) -> Judgement:
    """Name all crops and compare."""
    net.eval()
    device = next(net.parameters()).device
    batches = [crops[number] for number in range(len(crops))]
    said = torch.cat([torch.softmax(net(b.to(device)).float(), dim=1).cpu() for b, _ in batches])
    kind = torch.cat([kinds for _, kinds in batches])
    right = (said.argmax(dim=1) == kind).float()
    of_class = tuple(float(right[kind == number].mean()) for number in range(len(CLASSES)))
    true = (kind == PERSON).float()
    answers = diversity(float(spread(said[:, PERSON])), float(spread(true)), float(true.mean()))
    return Judgement(len(kind), float(right.mean()), of_class, answers)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(PretrainFlags, arguments)
    found = run_pretraining(flags)
    print(found)
    if complaint := same_answer(found.diversity):
        print(complaint)
    print(f"weights: {Path(flags.out) / WEIGHTS}")


if __name__ == "__main__":
    main()
