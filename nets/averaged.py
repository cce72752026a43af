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


def averaged(runners: Sequence[tuple[int, Runner]]) -> Runner:
    """A runner that asks all of them and returns the mean of their maps.

    Args:
        runners: how often each counts, and a net; all with the same heads, stride and number of
            frames; at least one.
    """
    first = runners[0][1]
    if len(runners) == 1:
        return first
    counts = [count for count, _ in runners]
    name = f"{first.name}, mean of {sum(counts)} nets"
    return Runner(
        name, lambda batch: mean_maps([r(batch) for _, r in runners], counts), first.parallel
    )


def mean_maps(several: Sequence[Maps], counts: Sequence[int] | None = None) -> Maps:
    """Mean of maps of the same frames, name by name; of box distances the geometric one.

    Nets learn these as logarithms.

    Args:
        several: maps by name.
        counts: how often each counts; None = once.
    """
    return {name: _mean(name, [maps[name] for maps in several], counts) for name in several[0]}


def _mean(name: str, several: Sequence[FloatMaps], counts: Sequence[int] | None) -> FloatMaps:
    stacked = np.stack(several)
    if name == "box":
        return np.asarray(np.exp(np.average(np.log(stacked), axis=0, weights=counts)), np.float32)
    return np.asarray(np.average(stacked, axis=0, weights=counts), np.float32)
