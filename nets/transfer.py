"""Published image weights into a trunk: names, folded normalisation, frames, channel order.

A published file and a trunk hold the same convolutions in the same order; what differs is how
tensors are called, whether a batch normalisation stands behind a convolution or is folded into it,
and how the image enters. Both sides are therefore read as a list of `Layer`s and copied one by one.
Pure arithmetic on tensors; files are `nets.weights`' job.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mot.errors import InputError
from nets.backbones import IMAGE_MEAN, IMAGE_STD, Backbone, build_backbone

INFLATIONS = ("repeat", "centre")
NARROWEST = 1e-3  # of the width: every layer has its least channels
BATCH_NORM_EPS = 1e-5  # torch's and torchvision's
OWN_STAGE = re.compile(r"^(?:.*\.)?(stages\.\d+\..+)$")
IN_ORDER = re.compile(r"^(\d+)_(?:conv|dw)_([wb])$")
STATISTICS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class LoadReport:
    """What became of a trunk's tensors and a file's.

    Attributes:
        source: imagenet, none or the file.
        loaded: tensors of the trunk that were set from the source.
        left: parameters of the trunk that keep their random start.
        folded: normalisations that stand in for a bias (the source had them folded): exact in
            evaluation; before training, let `nets.weights.settle_norms` see a batch.
        unused: tensors of the source that have no place in the trunk.
    """

    source: str
    loaded: tuple[str, ...]
    left: tuple[str, ...]
    folded: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.source}: {len(self.loaded)} tensors loaded, {len(self.left)} left at random"
        if self.left:
            text += f" (first {self.left[0]})"
        if self.unused:
            text += f", {len(self.unused)} of the source unused (first {self.unused[0]})"
        return text


@dataclass(frozen=True)
class ImageFormat:
    """How published weights want their images: statistics in 0..255, RGB, and channel order."""

    mean: tuple[float, ...] = IMAGE_MEAN
    std: tuple[float, ...] = IMAGE_STD
    bgr: bool = False

    @classmethod
    def parse(cls, text: str | None, where: object) -> "ImageFormat":
        """Read an `input` note such as "RGB/255, mean .485 .456 .406, std .229 .224 .225".

        Also understood: "RGB (x-127.5)/127.5" and "BGR 0..255 minus 103.939 116.779 123.68";
        None means torchvision's, the first of the three.

        Raises:
            InputError: the note says none of these.
        """
        if text is None:
            return cls()
        one = re.search(r"\(x-([\d.]+)\)/([\d.]+)", text)
        means = re.search(r"(?:mean|minus) ([\d.]+) ([\d.]+) ([\d.]+)", text)
        stds = re.search(r"std ([\d.]+) ([\d.]+) ([\d.]+)", text)
        scale = 255.0 if "/255" in text else 1.0
        if one:
            mean, std = [float(one[1])] * 3, [float(one[2])] * 3
        elif means:
            mean = [scale * float(number) for number in means.groups()]
            std = [scale * float(number) for number in stds.groups()] if stds else [scale] * 3
        else:
            raise InputError(where, "an input note with mean and std", text, "correct its metadata")
        if bgr := text.startswith("BGR"):
            mean, std = mean[::-1], std[::-1]
        return cls(tuple(mean), tuple(std), bgr)


@dataclass(frozen=True)
class Slot:
    """Where a trunk keeps one convolution and, if it has one, its normalisation."""

    conv: str
    norm: str | None


@dataclass(frozen=True)
class Layer:
    """One convolution of a source: its tensors, and the names they had there."""

    weight: Tensor
    bias: Tensor | None
    norm: tuple[Tensor, ...] | None
    names: frozenset[str]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution with its normalisation folded in."""
        bias = torch.zeros(len(self.weight)) if self.bias is None else self.bias
        if self.norm is None:
            return self.weight, bias
        gamma, beta, mean, var = self.norm
        factor = gamma / torch.sqrt(var + BATCH_NORM_EPS)
        return self.weight * factor.view(-1, 1, 1, 1), beta + (bias - mean) * factor


def published_name(name: str) -> str:
    """Name of a trunk's tensor or module in torchvision: what follows its stage."""
    return re.sub(r"^stages\.\d+\.", "", name)


def slots_of(backbone: Backbone) -> list[Slot]:
    """List a trunk's convolutions in order, each with the normalisation behind it.

    The gates of squeeze and excitation are left out: plain ResNets have none.
    """
    slots: list[Slot] = []
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d) and ".se." not in name:
            slots.append(Slot(name, None))
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            slots[-1] = Slot(slots[-1].conv, name)
    return slots


def plan_transfer(
    backbone: Backbone, tensors: dict[str, Tensor], form: ImageFormat, inflate: str, source: str
) -> tuple[dict[str, Tensor], LoadReport]:
    """Work out new values for a trunk's tensors from published ones, without touching the trunk.

    Args:
        backbone: the trunk to fill.
        tensors: float32 tensors under torchvision's names (batch-normalised or folded), or as
            `00_conv_w, 00_conv_b, 01_dw_w …` in the order of the layers.
        form: how the published net wants its images.
        inflate: repeat or centre, see `inflated`.
        source: what errors and report call it.

    Raises:
        InputError: a tensor of another shape than the trunk's, or none that belongs to it.
    """
    tensors = _in_published_names(tensors, backbone)
    state = backbone.state_dict()
    fresh: dict[str, Tensor] = {}
    used: set[str] = set()
    folded: list[str] = []
    for index, (slot, layer) in enumerate(
        zip(slots_of(backbone), _layers_of(tensors, backbone), strict=False)
    ):
        if layer is None:
            continue
        weight_name = f"{slot.conv}.weight"
        values = _fit(slot, layer, backbone.norm)
        if index == 0:
            frames = backbone.in_channels // 3
            weight = values[weight_name]
            values[weight_name] = inflated(weight.flip(1) if form.bgr else weight, frames, inflate)
        for name, value in values.items():
            require_shape(source, name, tuple(state[name].shape), tuple(value.shape))
        fresh |= values
        used |= layer.names
        if layer.norm is None and backbone.norm == "batch" and slot.norm is not None:
            folded.append(slot.norm)
    for name, old in state.items():
        gate = published_name(name)
        if ".se." in name and gate in tensors:
            require_shape(source, name, tuple(old.shape), tuple(tensors[gate].shape))
            fresh[name] = tensors[gate]
            used.add(gate)
    if not fresh:
        raise InputError(
            source,
            f"image weights of {backbone.name}",
            f"tensors such as {', '.join(sorted(tensors)[:2]) or '(none)'}",
            "name weights of this trunk, or another --backbone",
        )
    fresh["mean"] = torch.tensor(form.mean).view(1, 3, 1, 1)
    fresh["std"] = torch.tensor(form.std).view(1, 3, 1, 1)
    left = _left_at_random(backbone, fresh)
    unused = tuple(name for name in tensors if name not in used)
    return fresh, LoadReport(source, tuple(fresh), left, tuple(folded), unused)


def plan_own(
    backbone: Backbone, tensors: dict[str, Tensor], inflate: str, source: str
) -> tuple[dict[str, Tensor], LoadReport] | None:
    """The same for a file that Footfall wrote (a trunk's, or a whole net's); None if it is not one.

    Raises:
        InputError: the file's trunk has another name, width or normalisation than this one.
    """
    own = {match[1]: tensors[name] for name in tensors if (match := OWN_STAGE.match(name))}
    if not own:
        return None
    for name in tensors:
        if name.rpartition(".")[2] in ("mean", "std") and tensors[name].shape == (1, 3, 1, 1):
            own[name.rpartition(".")[2]] = tensors[name]
    state = backbone.state_dict()
    first = f"{slots_of(backbone)[0].conv}.weight"
    if first in own and own[first].shape[1] == 3:
        own[first] = inflated(own[first], backbone.in_channels // 3, inflate)
    depth = len(backbone.stages)
    for name, value in own.items():
        if name in state:
            require_shape(source, name, tuple(state[name].shape), tuple(value.shape))
        elif not name.startswith("stages.") or int(name.split(".")[1]) < depth:
            raise InputError(
                source,
                f"the trunk {backbone.name} with norm {backbone.norm}",
                f"a tensor {name}",
                "use the --backbone and --norm that the file was trained with",
            )
    fresh = {name: value for name, value in own.items() if name in state}
    unused = tuple(name for name in own if name not in state)
    report = LoadReport(source, tuple(fresh), _left_at_random(backbone, fresh), (), unused)
    return fresh, report


def inflated(weight: Tensor, frames: int, inflate: str) -> Tensor:
    """Spread a first convolution over T stacked frames: (O, 3, k, k) to (O, 3 · T, k, k).

    `repeat` gives each frame the weight divided by T, `centre` gives all of it to frame T // 2 and
    zeros to the others. Either way T equal frames give the published response.
    """
    if inflate == "repeat":
        return weight.repeat(1, frames, 1, 1) / frames
    spread = weight.new_zeros(len(weight), frames, *weight.shape[1:])
    spread[:, frames // 2] = weight
    return spread.flatten(1, 2)


def require_shape(
    source: object, name: str, expected: tuple[int, ...], got: tuple[int, ...]
) -> None:
    """Raise an InputError that names the tensor unless both shapes are the same."""
    if expected != got:
        raise InputError(
            source,
            f"{name} of shape {expected}",
            f"shape {got}",
            "use weights of this net, or the settings that they were trained with",
        )


def _in_published_names(tensors: dict[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Rename layers that a file only numbers; other tensors keep their names."""
    if not any(IN_ORDER.match(name) for name in tensors):
        return tensors
    slots = slots_of(_twin(backbone, "none"))
    renamed = {}
    for name, value in tensors.items():
        match = IN_ORDER.match(name)
        if match and int(match[1]) < len(slots):
            kind = "weight" if match[2] == "w" else "bias"
            name = f"{published_name(slots[int(match[1])].conv)}.{kind}"
        renamed[name] = value
    return renamed


def _twin(backbone: Backbone, norm: str) -> Backbone:
    """Build the whole trunk with another normalisation, as narrow as can be, for its names.

    The caller's random numbers are left alone. (torch's meta device would need no memory at all,
    but takes seconds to import what it needs.)
    """
    with torch.random.fork_rng(devices=[]):
        return build_backbone(backbone.name, norm=norm, width=NARROWEST)


def _layers_of(tensors: dict[str, Tensor], backbone: Backbone) -> list[Layer | None]:
    """Read a source's convolutions in the trunk's order; None for those that it lacks."""
    normalised = any(name.endswith(".running_var") for name in tensors)
    layers: list[Layer | None] = []
    for slot in slots_of(_twin(backbone, "batch" if normalised else "none")):
        conv = published_name(slot.conv)
        weight = tensors.get(f"{conv}.weight")
        names = [f"{conv}.weight", f"{conv}.bias"]
        norm = None
        if normalised and slot.norm is not None:
            norm_names = [f"{published_name(slot.norm)}.{part}" for part in STATISTICS]
            names += [*norm_names, f"{published_name(slot.norm)}.num_batches_tracked"]
            if all(name in tensors for name in norm_names):
                norm = tuple(tensors[name] for name in norm_names)
        if weight is None or (normalised and slot.norm is not None and norm is None):
            layers.append(None)
        else:
            layers.append(Layer(weight, tensors.get(f"{conv}.bias"), norm, frozenset(names)))
    return layers


def _fit(slot: Slot, layer: Layer, norm: str) -> dict[str, Tensor]:
    """Values for one convolution and its normalisation, by the trunk's names."""
    if norm == "none":
        weight, bias = layer.folded()
        return {f"{slot.conv}.weight": weight, f"{slot.conv}.bias": bias}
    values = {f"{slot.conv}.weight": layer.weight}
    if slot.norm is None:  # a gate, or a convolution that leads into another one
        return values if layer.bias is None else values | {f"{slot.conv}.bias": layer.bias}
    if norm == "group":  # its statistics are each image's own: only the convolutions can be kept
        return values
    if layer.norm is not None:
        gamma, beta, mean, var = layer.norm
        if layer.bias is not None:  # a trunk's convolution has no bias before a normalisation
            mean = mean - layer.bias
    else:
        _, beta = layer.folded()
        mean, var = torch.zeros_like(beta), torch.ones_like(beta)
        gamma = torch.sqrt(var + BATCH_NORM_EPS)  # so that evaluation adds the bias, nothing else
    parts = zip(STATISTICS, (gamma, beta, mean, var), strict=True)
    return values | {f"{slot.norm}.{part}": value for part, value in parts}


def _left_at_random(backbone: Backbone, fresh: dict[str, Tensor]) -> tuple[str, ...]:
    """Parameters that a transfer does not set."""
    return tuple(name for name, _ in backbone.named_parameters() if name not in fresh)
