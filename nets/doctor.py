"""The doctor watches a training and says one sentence when something leaves its band.

Fed from the log's rows by the training job; each sentence names the cause and the flag of train.py
that mends it. The first net of this project (2019) died unnoticed in most of its settings: output
channels at zero, or the same answer for every input. No torch here, only numbers.
"""

import math
from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mot.errors import InputError

# Bands. A healthy net's mass ratio (predicted over true people) is within 0.9 to 1.1 after 300
# steps, so each band below leaves room for a start and for noise.
DEAD_RATIO = 0.05  # a dead ReLU gives exactly 0, a dying one less than this; nothing healthy does
LOW_RATIO, HIGH_RATIO = 0.1, 10.0  # a tenth, ten times: no noise, but wrong units or a wrong start
# Between inputs, a trained net's answers differ about as much as the truths (`nets.diversity`); a
# trunk whose activations vanished, or that only its biases speak for, stays below 1 % of that.
SAME_ANSWER = 0.01
EXPLODING = 30.0  # times the usual gradient norm; losses jump by 2 to 5 between batches
RISING = 3.0  # times the lowest loss of the run; between batches of scenes 1.5 is seen
NOT_FALLING = 0.99  # of the loss at the start: noise of a mean over 5 rows is about 1 %

# Patience in steps: shorter troubles mend themselves, mostly while the learning rate warms up.
PATIENCE_STEPS = {
    "not finite": 0,
    "gradient": 0,
    "exploding": 20,
    "collapse": 50,
    "dead": 50,
    "low": 50,
    "high": 50,
    "same answer": 100,
    "rising": 50,
    "not falling": 500,
}
SIGHTINGS = 3  # rows that must agree, where patience is asked for at all
WELL_ROWS = 3  # rows without the symptom until it may be named again
MEAN_ROWS = 5  # rows in a mean of the loss
USUAL_ROWS = 50  # rows that make up the usual gradient norm
USUAL_FROM_ROWS = 10
STARTS_WITHIN_STEPS = 100  # a resumed run is seen too late to say where its loss started


def same_answer(diversity: float) -> str:
    """Name the failure of a net that says the same whatever it sees; "" where it does not."""
    if not diversity < SAME_ANSWER:
        return ""
    return (
        f"every input gets the same answer (diversity {diversity:.4f}): the trunk's activations "
        "vanish before they reach the heads; try --norm batch or image weights (--weights)"
    )


class Doctor:
    """Watches one training run.

    Args:
        frames: T, output channels of the net.
        raw_loss: whether the run has --raw-loss; it decides which cause is named.
    """

    def __init__(self, frames: int, *, raw_loss: bool = False) -> None:
        self.frames = frames
        self.raw_loss = raw_loss
        self._first_step: int | None = None
        self._first_seen: dict[str, int] = {}
        self._sightings: dict[str, int] = {}
        self._said: dict[str, int] = {}  # symptom → rows since it was last seen
        self._first_losses: list[float] = []
        self._losses: deque[float] = deque(maxlen=MEAN_ROWS)
        self._lowest_loss = math.inf
        self._norms: deque[float] = deque(maxlen=USUAL_ROWS)

    def update(
        self,
        step: int,
        pred_mass: npt.ArrayLike,
        true_mass: npt.ArrayLike,
        diversity: float,
        grad_norm: float,
        loss: float,
    ) -> list[str]:
        """Take one row of the log and say what left its band, once until it recovers.

        Args:
            step: optimiser steps so far.
            pred_mass: (T,) predicted people per frame of the clip, summed over the row's batches.
            true_mass: (T,) the same of the truth; a frame without people is not judged.
            diversity: spread between inputs of the predictions over that of the truths
                (`nets.diversity`); NaN where it is unknown.
            grad_norm: norm of the gradient before clipping.
            loss: the row's mean loss.

        Raises:
            InputError: masses of another length than T.
        """
        predicted = self._masses(pred_mass, "pred_mass")
        truth = self._masses(true_mass, "true_mass")
        if self._first_step is None:
            self._first_step = step
        symptoms = self._not_finite(predicted, grad_norm, loss)
        if "not finite" not in symptoms:
            symptoms |= self._of_masses(predicted, truth)
            symptoms |= self._of_answers(diversity, truth)
            symptoms |= self._of_loss(step, loss)
        if math.isfinite(grad_norm):
            symptoms |= self._of_gradient(grad_norm)
        return self._news(step, symptoms)

    def _masses(self, values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
        masses = np.asarray(values, np.float64)
        if masses.shape != (self.frames,):
            raise InputError(
                name, f"{self.frames} masses", f"shape {masses.shape}", "pass one per frame"
            )
        return masses

    def _not_finite(
        self, predicted: npt.NDArray[np.float64], grad_norm: float, loss: float
    ) -> dict[str, str]:
        """NaN and infinity: said at once."""
        remedy = "try --lr at a third, a smaller --clip-grad or more --warmup-steps"
        if not math.isfinite(loss) or not np.isfinite(predicted).all():
            what = "loss" if not math.isfinite(loss) else "prediction"
            cause = ": raw sums overflow at this labelrate" if self.raw_loss else ": it diverged"
            mend = "leave out --raw-loss, or " + remedy if self.raw_loss else remedy
            return {"not finite": f"the {what} is not finite{cause}; {mend}"}
        if not math.isfinite(grad_norm):
            return {"gradient": f"the gradient is not finite: a step was too large; {remedy}"}
        return {}

    def _of_masses(
        self, predicted: npt.NDArray[np.float64], truth: npt.NDArray[np.float64]
    ) -> dict[str, str]:
        """Dead channels, collapse, and a total far from the truth."""
        judged = truth > 0
        if not judged.any():
            return {}
        ratio = np.divide(predicted, truth, out=np.ones_like(truth), where=judged)
        dead = judged & (ratio < DEAD_RATIO)
        total = float(predicted[judged].sum() / truth[judged].sum())
        restart = (
            "its ReLU gets no gradient below zero; leave out --raw-loss, or try --lr at a third"
            if self.raw_loss
            else "its bias was driven far below zero; try --lr at a third or more --warmup-steps"
        )
        if (dead == judged).all():
            return {
                "collapse": f"the output collapsed: all {judged.sum()} channels predict under "
                f"{DEAD_RATIO:.0%} of the people; {restart}"
            }
        if dead.any():
            return {
                f"dead {k}": f"channel {k + 1} of {self.frames} is dead (mass ratio "
                f"{ratio[k]:.3f}) while others live; {restart}"
                for k in np.flatnonzero(dead)
            }
        if LOW_RATIO <= total <= HIGH_RATIO:
            return {}
        cause = (
            "the raw output starts in units of 1 / labelrate; leave out --raw-loss, or try another "
            "--labelrate"
            if self.raw_loss
            else "steps are too large to settle, or too small to get there; try --lr at a third, "
            "then three times as large"
        )
        side = "low" if total < LOW_RATIO else "high"
        return {side: f"the mass ratio is {total:.3g}, far from 1; {cause}"}

    @staticmethod
    def _of_answers(diversity: float, truth: npt.NDArray[np.float64]) -> dict[str, str]:
        """The same map for every input although the truths differ."""
        said = same_answer(diversity) if truth.sum() > 0 else ""
        return {"same answer": said} if said else {}

    def _of_gradient(self, grad_norm: float) -> dict[str, str]:
        """A gradient far above its usual norm."""
        usual = float(np.median(self._norms)) if len(self._norms) >= USUAL_FROM_ROWS else math.inf
        if grad_norm <= EXPLODING * usual:
            self._norms.append(grad_norm)
            return {}
        return {
            "exploding": f"the gradient explodes: norm {grad_norm:.3g}, usually {usual:.3g}; try a "
            "smaller --clip-grad, --lr at a third or --norm batch"
        }

    def _of_loss(self, step: int, loss: float) -> dict[str, str]:
        """A loss that rises again, or never fell."""
        self._losses.append(loss)
        if len(self._first_losses) < MEAN_ROWS:
            self._first_losses.append(loss)
            return {}
        mean = float(np.mean(self._losses))
        self._lowest_loss = min(self._lowest_loss, mean)
        if mean > RISING * self._lowest_loss > 0:
            return {
                "rising": f"the loss rises: {mean:.3g} after a lowest of {self._lowest_loss:.3g}; "
                "try --lr at a third or a smaller --clip-grad"
            }
        start = float(np.mean(self._first_losses))
        seen_from_start = (self._first_step or 0) <= STARTS_WITHIN_STEPS
        if not seen_from_start or mean <= NOT_FALLING * start:
            return {}
        remedy = "try --lr three times as large, then at a third"
        if self.raw_loss:
            remedy = f"its gradient grows with --labelrate; leave out --raw-loss, or {remedy}"
        return {
            "not falling": f"the loss has not fallen since the start ({start:.3g} to {mean:.3g}); "
            f"{remedy}"
        }

    def _news(self, step: int, symptoms: Mapping[str, str]) -> list[str]:
        """Sentences of the symptoms whose patience has just run out."""
        news = []
        for name, sentence in symptoms.items():
            patience = PATIENCE_STEPS[name.rstrip("0123456789 ")]
            since = self._first_seen.setdefault(name, step)
            self._sightings[name] = self._sightings.get(name, 0) + 1
            ripe = step - since >= patience and (
                patience == 0 or self._sightings[name] >= SIGHTINGS
            )
            if ripe and name not in self._said:
                news.append(sentence)
            if ripe or name in self._said:
                self._said[name] = 0
        for name in [name for name in self._first_seen if name not in symptoms]:
            del self._first_seen[name], self._sightings[name]
        for name in [name for name in self._said if name not in symptoms]:
            self._said[name] += 1
            if self._said[name] >= WELL_ROWS:
                del self._said[name]
        return news
