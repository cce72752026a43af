"""Labels that get harder as a training goes on: large ones first, then small ones, then points."""

from __future__ import annotations

from nets.losses import LossSettings


def label_at(step: int, *, steps: int, settings: LossSettings) -> str:
    """Kind of label map that a step of a training of `steps` learns from.

    Without a curriculum it is --label throughout. With one, its stages follow each other, each for
    its share of the steps; what remains after rounding belongs to the last.
    """
    if not settings.curriculum:
        return settings.label
    shares = settings.curriculum_shares or (1.0,) * len(settings.curriculum)
    end, total = 0.0, sum(shares)
    for label, share in zip(settings.curriculum, shares, strict=True):
        end += share / total
        if step < round(end * steps):
            return label
    return settings.last_label
