"""What a training starts from: random weights, image weights, or an earlier net."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mot.errors import InputError
from nets.clip_net import ClipNet
from nets.shipped import named_weights
from nets.transfer import INFLATIONS, LoadReport, inflated, slots_of
from nets.weights import load_image_weights, load_weights, settle_norms

DENSITY_OUT = "heads.maps.density.out.weight"
DENSITY_UNIT = "heads.maps.density.unit"


def start_from(
    net: ClipNet,
    weights: str,
    *,
    inflate: str = "repeat",
    clips: Callable[[], Tensor] | None = None,
) -> str:
    """Load weights into a net, in place, and return one sentence that says what was loaded.

    Args:
        net: with random weights, and its density in the unit of the data to come.
        weights: none, imagenet, or a .safetensors file: a net of Footfall (by its metadata), whole
            or as far as it fits, or a trunk's image weights.
        inflate: how a 3-channel first convolution spreads over stacked frames: repeat or centre.
        clips: gives a training batch (B, T, 3, H, W), RGB in 0..255, which settles the
            normalisations that stand in for folded ones; asked for only where there are any.

    Raises:
        InputError: a file that cannot be read or does not fit.
    """
    if inflate not in INFLATIONS:
        raise InputError("--inflate", " or ".join(INFLATIONS), inflate, "choose one of them")
    if weights == "none":
        return "start: random weights"
    if weights != "imagenet":
        state, metadata = load_weights(named_weights(weights))
        if "settings" in metadata:
            return f"start: {_load_earlier(net, state, inflate, weights)}"
    frames = net.settings.stacked
    report = load_image_weights(net.trunk, weights, frames=frames, inflate=inflate)
    if report.folded and clips is not None:
        images = clips().float()
        settle_norms(net.trunk, images.reshape(-1, 3 * frames, *images.shape[-2:]), report.folded)
    return f"start: {report}"


def _load_earlier(
    net: ClipNet, earlier: dict[str, Tensor], inflate: str, source: str
) -> LoadReport:
    """Load all tensors of an earlier net that have a place in this one.

    The first convolution is carried over between numbers of stacked frames: summed over the frames
    it had (its response to equal frames), then spread over those it gets.

    Raises:
        InputError: the earlier net has another trunk.
    """
    own = net.state_dict()
    earlier = net.renamed(earlier)
    first = f"trunk.{slots_of(net.trunk)[0].conv}.weight"
    if first in earlier and earlier[first].shape[1] != own[first].shape[1]:
        weight = earlier[first]
        single = weight.reshape(len(weight), -1, 3, *weight.shape[2:]).sum(dim=1)
        earlier = earlier | {first: inflated(single, own[first].shape[1] // 3, inflate)}
    fits = {n: v for n, v in earlier.items() if n in own and own[n].shape == v.shape}
    if first not in fits:
        settings = net.settings
        expected = f"a net with trunk {settings.backbone}, width {settings.width:g}"
        remedy = "use the --backbone and --width that it was trained with"
        raise InputError(source, expected, "another trunk", remedy)
    if DENSITY_OUT not in fits:
        fits.pop(DENSITY_UNIT, None)  # the unit belongs to the output that learned in it
    with torch.no_grad():
        for name, value in fits.items():
            own[name].copy_(value)
    left = tuple(name for name, _ in net.named_parameters() if name not in fits)
    unused = tuple(name for name in earlier if name not in fits and name != DENSITY_UNIT)
    return LoadReport(source, tuple(fits), left, (), unused)
