"""Frames to maps (torch): nets, losses, training, prediction; imports labelmaps and mot.

What a notebook needs of it, imported when it is first asked for:

>>> from nets import Predictor, PredictSettings, load_net
>>> net = load_net(weights)  # .safetensors, or .onnx, .xml, .torchscript of python -m nets.export
>>> net.notes.settings.frames, net.notes.test_px  # frames that it sees at once, pixels of each
(3, 4096)
>>> predictor = Predictor(net, PredictSettings(backend="torch", amp="off"))
>>> predictor.backend
'torch fp32'
>>> predictions = list(predictor.predict_images(images))  # uint8 RGB (H, W, 3), in order of time
>>> predictions[0].frame, predictions[0].density.shape
(1, (16, 16))
>>> bool(predictions[0].count > 0)  # people, by density
True
>>> predictions[0].detections.ltwh.shape[1]  # left, top, width, height in pixels of the image
4

`load_net()` takes the weights that come with Footfall. Videos are followed by `track.track` and
scored by `eval.evaluate`.
"""

import importlib
from typing import Any

_AT = {
    "load_net": "nets.predict",
    "Predictor": "nets.predict",
    "PredictSettings": "nets.predict",
    "FramePrediction": "nets.predict",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: most who import a file of this room need none of this."""
    if name not in _AT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_AT[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_AT])
