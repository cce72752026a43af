"""Optuna studies on disk that go on exactly where they stopped.

Optuna keeps a study's trials but not its sampler's random numbers. Here every trial draws with a
seed of its own, made from the study's seed and the number of trials finished before, so that a
study that was killed and resumed proposes what an uninterrupted one does. `reid.tune` runs it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mot.errors import InputError
from reid.search_space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STUDY = "study.db"
NAME = "linker"
CONFIG = "config"
RANDOM = 10  # trials before the sampler's model has a say
UNPRUNED = 5  # complete trials before any is dropped early


def require_optuna() -> None:
    """Make sure that Optuna is there, and quiet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError("reid.tune", "optuna", "none installed", "pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def require_place(folder: Path, *, resume: bool) -> None:
    """Refuse to start over a study, or to go on with none.

    Raises:
        InputError: `folder` holds a study and `resume` is not set, or the other way round.
    """
    there = (folder / STUDY).exists()
    if there and not resume:
        raise InputError(
            folder, "a new folder", "one with a study", "add --resume, or change --out"
        )
    if resume and not there:
        raise InputError(folder, f"a study to resume ({STUDY})", "none", "leave --resume out")


@contextlib.contextmanager
def open_study(folder: Path, config: Mapping[str, Any]) -> Iterator[Study]:
    """Make the study of a folder, or open it; trials that were killed half-way are given up.

    Args:
        folder: where study.db lies (SQLite).
        config: what decides the trials, as JSON can hold it; a study goes on only with its own.

    Raises:
        InputError: a study of another configuration, or a file that is none.
    """
    import optuna
    from optuna.trial import TrialState
    from sqlalchemy.exc import SQLAlchemyError

    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / STUDY).resolve()
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
            load_if_exists=True,
        )
        known = study.user_attrs.get(CONFIG)
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(path, "a study of optuna", reason, "use another --out") from error
    try:
        if known is None:
            study.set_user_attr(CONFIG, json.dumps(config))
        else:
            _require_same(json.loads(known), json.loads(json.dumps(config)), folder)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _require_same(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            raise InputError(
                f"{folder}: {key}",
                f"as in the study to resume, {old.get(key)}",
                new.get(key),
                "give the same flags, or start another study",
            )


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Trials that were completed or dropped early, in order; killed ones do not count."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def next_trial(study: Study, space: SearchSpace, seed: int) -> Trial:
    """Draw the next trial; the first one stands for the linker to start from."""
    import optuna
    from optuna.trial import TrialState

    done = len(finished_trials(study))
    if not done and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(space.start_values())
    own_seed = int(np.random.SeedSequence([seed, done]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM, seed=own_seed)
    return study.ask(_distributions(space))


def _distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        dial.name: CategoricalDistribution(dial.choices)
        if dial.choices
        else FloatDistribution(dial.low, dial.high, log=dial.log)
        for dial in space.dials
    }
