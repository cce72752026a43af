"""What a training starts from: random weights, image weights, or an earlier net."""

from pathlib import Path

from mot.errors import InputError
from nets.frame_stack import FrameStack
from nets.weights import check_state, load_image_weights, load_weights

INFLATIONS = ("repeat", "centre")


def start_from(net: FrameStack, weights: str, *, inflate: str = "repeat") -> str:
    """Load weights into a net, in place, and return one sentence that says what was loaded.

    Args:
        net: with random weights.
        weights: none, imagenet, or a .safetensors file: a net of Footfall (by its metadata) or a
            trunk's image weights.
        inflate: how a 3-channel first convolution spreads over stacked frames.

    Raises:
        InputError: a file that cannot be read or does not fit.
    """
    if inflate not in INFLATIONS:
        raise InputError("--inflate", " or ".join(INFLATIONS), inflate, "choose one of them")
    if weights == "none":
        return "start: random weights"
    if weights != "imagenet":
        state, metadata = load_weights(Path(weights))
        if "settings" in metadata:
            check_state(net, state, where=weights)
            net.load_state_dict(state)
            return f"start: all weights of {weights}"
    frames = net.settings.frames if net.settings.fuse == "input" else 1
    mode = "centre" if inflate == "centre" else "repeat"
    report = load_image_weights(net.trunk, weights, frames=frames, inflate=mode)
    return f"start: {report}"
