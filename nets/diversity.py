"""Do answers differ where the truths do? Prediction diversity, by which a training is watched.

The diversity of predictions is their spread between inputs over the spread of the truths: 1 for a
net that is right, 0 for one that says the same whatever it sees. The classifier of 2019 did that,
and its accuracy, the share of the larger class, did not tell. `nets.doctor` says when it is too
small.
"""

import math

import torch
from torch import Tensor

LEAST_VARIETY = 0.01  # spread of the truths over their mean below which they are all the same


def spread(values: Tensor) -> Tensor:
    """Standard deviation between inputs (N, …), the mean over all else; NaN for one input."""
    if len(values) < 2:
        return torch.tensor(math.nan)
    return values.detach().float().std(dim=0, correction=0).mean().cpu()


def diversity(predicted: float, true: float, true_mean: float) -> float:
    """Spread of predictions over that of the truths; NaN where the truths are all the same.

    Args:
        predicted: `spread` of the predictions, or a sum of such.
        true: the same of the truths.
        true_mean: mean of the truths, or a sum of such.
    """
    if not true > LEAST_VARIETY * abs(true_mean):
        return math.nan
    return predicted / true
