"""Weights on disk: safetensors with settings and a card beside them, and image weights to start on.

Only safetensors are read: a pickle can run code. `train.py` writes what `eval.py` and `track.py`
read; `load_image_weights` gives a trunk its start.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mot.atomic import atomic_path
from mot.errors import InputError
from nets.backbones import Backbone
from nets.transfer import (
    INFLATIONS,
    ImageFormat,
    LoadReport,
    plan_own,
    plan_transfer,
    require_shape,
)

# Smaller tensors (biases, normalisation, statistics) stay float32: they weigh nothing, and a
# running variance can exceed what float16 holds.
HALF_FROM_ELEMENTS = 4096
BYTES_FROM_ELEMENTS = 2**20  # a net's few largest convolutions, most of its bytes
BYTE_LEVELS = 127  # of an int8 on either side of 0
SCALE_ENDING = ".int8_scale"  # of the tensor beside one that is stored in bytes
HEADER_BYTES = 8  # a safetensors file starts with its header's length
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
# torchvision's weights by trunk; of VGG-16 those with normalisation.
TORCHVISION = {
    "vgg16": "VGG16_BN_Weights.IMAGENET1K_V1",
    "resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "resnet50": "ResNet50_Weights.IMAGENET1K_V1",
    "seresnet50": "ResNet50_Weights.IMAGENET1K_V1",  # the gates start open, see nets.resnet
    "mobilenetv2": "MobileNet_V2_Weights.IMAGENET1K_V1",
}


def save_weights(
    path: Path | str,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
    bytes_for_largest: bool = False,
) -> None:
    """Write tensors and text notes as one safetensors file, whole or not at all.

    Args:
        path: the file.
        state: tensors by name, on any device, in any memory format.
        metadata: notes by name; the net's settings stand under "settings" as JSON.
        half: store large float tensors as float16 (half the bytes; those beyond its range stay).
        bytes_for_largest: store float tensors of 2**20 elements or more as int8, rounded to 127ths
            of the largest value of each output channel (the first axis).

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        if bytes_for_largest and _is_largest(value):
            tensors[name], tensors[name + SCALE_ENDING] = _in_bytes(value.float())
            continue
        if half and value.is_floating_point() and value.numel() >= HALF_FROM_ELEMENTS:
            smaller = value.half()
            value = smaller if bool(torch.isfinite(smaller).all()) else value
        tensors[name] = value.clone()  # tied tensors would be refused
    content = safetensors.torch.save(tensors, dict(metadata or {}))
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(content)


def _is_largest(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1 and value.numel() >= BYTES_FROM_ELEMENTS


def _in_bytes(value: Tensor) -> tuple[Tensor, Tensor]:
    """Round a tensor to int8 with a scale per first index; returns both."""
    largest = value.abs().flatten(1).amax(dim=1)
    scale = (largest / BYTE_LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    levels = (value / scale.view(-1, *[1] * (value.ndim - 1))).round()
    return levels.to(torch.int8), scale


def _from_bytes(tensors: dict[str, Tensor], path: Path) -> None:
    """Turn tensors that are stored in bytes back, in place.

    Raises:
        InputError: a scale that has lost its tensor, or is not one per first index.
    """
    for scaled in [name for name in tensors if name.endswith(SCALE_ENDING)]:
        name, scale = scaled.removesuffix(SCALE_ENDING), tensors.pop(scaled)
        levels = tensors.get(name)
        if levels is None or levels.dtype != torch.int8 or scale.shape != levels.shape[:1]:
            expected = f"{name} in int8 with a scale per output channel"
            raise InputError(path, expected, "another shape or none", "copy or download it again")
        tensors[name] = levels.float() * scale.float().view(-1, *[1] * (levels.ndim - 1))


def load_weights(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: tensors (floating ones and bytes as float32) and its notes.

    Raises:
        InputError: no such file, a pickle, a truncated or damaged file, or a value that is not
            finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "a weights file", "no such file", "name one with --weights FILE")
    try:
        with safetensors.safe_open(path, framework="pt") as stored:
            metadata = dict(stored.metadata() or {})
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise _unreadable(path, str(error)) from error
    _from_bytes(tensors, path)
    for name, value in tensors.items():
        if value.is_floating_point():
            tensors[name] = value.float()
            if not bool(torch.isfinite(value).all()):
                raise InputError(path, "finite weights", f"NaN or infinity in {name}", "retrain")
    return tensors, metadata


def _unreadable(path: Path, reason: str) -> InputError:
    """Say what a file is that safetensors refuses."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    if start.startswith(PICKLE_STARTS):
        got = "a pickle, as torch.save writes it"
        remedy = "load it where you trust it and save its tensors with safetensors.torch.save_file"
        return InputError(path, "a safetensors file", got, remedy)
    header = int.from_bytes(start, "little")
    cut = size < HEADER_BYTES or "incomplete" in reason.lower() or HEADER_BYTES + header > size
    got = f"a file cut off at {size} bytes" if cut else reason
    return InputError(path, "a whole safetensors file", got, "copy or download it again")


def check_state(module: nn.Module, state: Mapping[str, Tensor], where: object = "weights") -> None:
    """Check that a state fits a module, before any of it is loaded.

    Raises:
        InputError: names the first tensor (in the module's order) that is missing or has another
            shape, or else the first that the module does not know.
    """
    own = module.state_dict()
    remedy = "use weights of this net, or the settings that they were trained with"
    for name, value in own.items():
        expected = tuple(value.shape)
        if name not in state:
            raise InputError(where, f"{name} of shape {expected}", "no such tensor", remedy)
        require_shape(where, name, expected, tuple(state[name].shape))
    for name in state:
        if name not in own:
            raise InputError(where, f"the {len(own)} tensors of the net", f"also {name}", remedy)


def load_image_weights(
    backbone: Backbone, source: Path | str, *, frames: int = 1, inflate: str = "repeat"
) -> LoadReport:
    """Start a trunk from image weights; nothing is changed when an error is raised.

    Sets `mean` and `std` to what the weights were trained with; weights for BGR images are turned
    to RGB.

    Args:
        backbone: the trunk, for 3 · frames channels.
        source: "none", "imagenet" (torchvision downloads) or a safetensors file: torchvision's
            names with batch normalisation or with it folded, numbered layers (MobileNetV2), or a
            file that Footfall wrote.
        frames: frames stacked at the trunk's input.
        inflate: how the first convolution is spread over them: repeat or centre.

    Raises:
        InputError: a width other than 1, an unreadable or foreign file, or no torchvision.
    """
    source_name = str(source)
    if inflate not in INFLATIONS:
        raise InputError("--inflate", f"one of {', '.join(INFLATIONS)}", inflate, "choose one")
    if backbone.in_channels != 3 * frames:
        raise InputError(
            "image weights",
            f"a trunk for {3 * frames} channels",
            backbone.in_channels,
            "build it with in_channels = 3 x frames",
        )
    if source_name == "none":
        return LoadReport("none", (), tuple(name for name, _ in backbone.named_parameters()))
    if source_name == "imagenet":
        _require_published_width(backbone, source_name)
        tensors, note = _download(backbone), None
    else:
        tensors, metadata = load_weights(source)
        note = metadata.get("input")
    plan = plan_own(backbone, tensors, inflate, source_name)
    if plan is None:
        _require_published_width(backbone, source_name)
        form = ImageFormat.parse(note, source_name)
        plan = plan_transfer(backbone, tensors, form, inflate, source_name)
    fresh, report = plan
    state = backbone.state_dict()
    for name, value in fresh.items():
        state[name].copy_(value)
    return report


def _require_published_width(backbone: Backbone, source: str) -> None:
    if not math.isclose(backbone.width, 1.0):
        raise InputError(
            f"--weights {source}",
            "--width 1, the channels that the published weights have",
            f"--width {backbone.width:g}",
            "drop --width, or start with --weights none",
        )


def _download(backbone: Backbone) -> dict[str, Tensor]:
    """Fetch ImageNet weights through torchvision (cached in torch's hub folder).

    Imported here only: beside a CPU build of torch its import may fail, and nothing else needs it.
    """
    if backbone.name not in TORCHVISION:
        expected = f"a trunk that torchvision has: {', '.join(TORCHVISION)}"
        remedy = "start with --weights none, or name a safetensors file"
        raise InputError("--weights imagenet", expected, backbone.name, remedy)
    name = TORCHVISION[backbone.name]
    try:
        from torchvision.models import get_weight

        state = get_weight(name).get_state_dict(progress=True, check_hash=True)
    except (ImportError, RuntimeError, OSError, AttributeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            "--weights imagenet",
            f"torchvision to download {name}",
            reason,
            "name a safetensors file with --weights FILE, or --weights none",
        ) from error
    return {key: value.float() for key, value in state.items()}


@torch.no_grad()
def settle_norms(backbone: Backbone, images: Tensor, names: tuple[str, ...]) -> None:
    """Give normalisations that stand in for a folded bias the statistics of real activations.

    A net whose batch normalisation was folded away is reproduced with mean 0 and variance 1, which
    holds in evaluation only: the first training step would normalise by the batch's own statistics
    and so compute another function. Here each of them takes mean and variance m, v of its input
    over `images`, with weight sqrt(v + eps) and bias + m: evaluation stays as it was, and training
    starts from the same function.

    Args:
        backbone: the trunk, just loaded.
        images: float (B, in_channels, H, W), RGB in 0..255; a training batch or two.
        names: `LoadReport.folded`.
    """
    norms = {
        name: module
        for name, module in backbone.named_modules()
        if name in names and isinstance(module, nn.BatchNorm2d)
    }
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            var, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
            seen[name] = (mean, var)

        return hook

    handles = [norm.register_forward_pre_hook(watch(name)) for name, norm in norms.items()]
    was_training = backbone.training
    try:
        backbone.eval()(images)
    finally:
        backbone.train(was_training)
        for handle in handles:
            handle.remove()
    for name, (mean, var) in seen.items():
        norm = norms[name]
        old_mean, old_var = norm.running_mean, norm.running_var
        if old_mean is None or old_var is None:
            continue
        scale = norm.weight / torch.sqrt(old_var + norm.eps)
        norm.bias.add_((mean - old_mean) * scale)
        norm.weight.copy_(scale * torch.sqrt(var + norm.eps))
        old_mean.copy_(mean)
        old_var.copy_(var)
