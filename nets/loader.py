"""Batches prepared ahead by worker processes, from any dataset of numbered batches."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any, Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from mot.errors import InputError

AHEAD = 3  # batches that each worker holds ready


class NumberedBatches(Protocol):
    """Batch number → batch, a function of the number alone."""

    def __len__(self) -> int:
        """Number of batches."""

    def __getitem__(self, number: int) -> Any:
        """One batch."""


class _ErrorsAsItems(Dataset[Any]):
    """Batches, or the error in the place of one: a DataLoader would re-word a worker's error."""

    def __init__(self, batches: NumberedBatches) -> None:
        self.batches = batches

    def __getitem__(self, number: int) -> Any:
        try:
            return self.batches[number]
        except (InputError, OSError) as error:
            return error


def load_batches(batches: NumberedBatches, first: int, workers: int) -> Iterator[Any]:
    """Yield batches from number `first` on; 0 workers = prepared in this process.

    Raises:
        InputError, OSError: what preparing a batch raised, as it was.
    """
    items = DataLoader(
        _ErrorsAsItems(batches),
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=AHEAD if workers else None,
        # A forked process would inherit OpenCV's thread pool without its threads, and hang.
        multiprocessing_context="spawn" if workers else None,
        generator=torch.Generator(),  # leaves torch's own random numbers alone
    )
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


def _start_worker(_: int) -> None:
    """Keep a loader process to one core and deaf to Ctrl-C.

    A terminal's Ctrl-C reaches all processes; the training process stops its loaders when it has
    saved.
    """
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
