"""Several nets as one: the mean of what they say of the same frames.

Nets of one shape that were trained from other seeds, or other checkpoints of one training, err in
other places (bagging, L. Breiman, 1996).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nets.runner import Maps, Runner

FloatMaps = npt.NDArray[np.float32]


def averaged(runners: Sequence[Runner]) -> Runner:
    """A runner that asks all of them and returns the mean of their maps.

    Args:
        runners: of nets with the same heads, stride and number of frames; at least one.
    """
    if len(runners) == 1:
        return runners[0]
    first = runners[0]
    name = f"{first.name}, mean of {len(runners)} nets"
    return Runner(name, lambda batch: mean_maps([r(batch) for r in runners]), first.parallel)


def mean_maps(several: Sequence[Maps]) -> Maps:
    """Mean of maps of the same frames, name by name; of box distances the geometric one.

    Nets learn these as logarithms.
    """
    return {name: _mean(name, [maps[name] for maps in several]) for name in several[0]}


def _mean(name: str, several: Sequence[FloatMaps]) -> FloatMaps:
    stacked = np.stack(several)
    mean: FloatMaps = (
        np.exp(np.log(stacked).mean(axis=0)) if name == "box" else stacked.mean(axis=0)
    )
    return np.asarray(mean, np.float32)
