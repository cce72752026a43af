"""How fast people are linked, ours beside its peers: `python -m benchmarks.association`.

The same random-walk crowds through every tracker in one run, boxes only: no images, no appearance,
no camera motion. Each tracker has its own defaults, a process of its own and one thread; all take
turns, run by run, so that a machine that slows down slows all of them, and the best run counts.
Building the peers' input from our tables is not timed. Prints frames per second of CPU time and how
our time grows with the number of plausible pairs.

Peers come with `pip install --no-deps -r benchmarks/requirements.txt`, whose comments name the
traps; those that cannot be used are left out with a line that says why.
"""

import argparse
import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.linker import FPS, VIEW, crowd, plausible_pairs
from mot.boxes import Boxes
from mot.terminal import terminal
from reid.linker import MENU, Linker
from reid.linking import link_stream

BAR = 3.0
INSTALL = "pip install --no-deps -r benchmarks/requirements.txt"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Where the view grows with the crowd, this many people stand in one full-HD view's area.
DENSITY = 200

Ids = npt.NDArray[Any]
# A tracker over the frames of a crowd: each frame's ids, linked when it is asked for.
Adapter = Callable[[list[Boxes], float], Iterator[Ids]]


def ours(tables: list[Boxes], fps: float) -> Iterator[Ids]:
    linker = Linker(MENU["byte"], fps)
    return (linker.update(boxes).id for boxes in tables)


def ours_delayed(tables: list[Boxes], fps: float) -> Iterator[Ids]:
    """As `link`: starts filled in afterwards, gaps filled."""
    stream = link_stream(enumerate(tables, 1), fps=fps, settings=MENU["byte"])
    return (boxes.id for _, boxes in stream)


def boxmot(name: str, backend: str = "python", **options: bool) -> Adapter:
    """A tracker of boxmot as its own configuration file sets it up."""

    def adapter(tables: list[Boxes], fps: float) -> Iterator[Ids]:
        from boxmot import create_tracker
        from boxmot.trackers import TrackerSpec

        spec = TrackerSpec(name, backend, options=tuple(sorted(options.items())))
        tracker = create_tracker(spec)
        # SFSORT wants a picture for its size alone.
        shape = (int(VIEW[1]), int(VIEW[0]), 3)
        picture = np.zeros(shape, np.uint8) if name == "sfsort" else None
        frames = [
            np.column_stack([boxes.ltrb, boxes.score, np.zeros_like(boxes.score)])
            for boxes in tables
        ]
        return (tracker.update(rows, picture)[:, 4] for rows in frames)

    return adapter


def roboflow(name: str, **options: bool) -> Adapter:
    """A tracker of Roboflow's `trackers`."""

    def adapter(tables: list[Boxes], fps: float) -> Iterator[Ids]:
        import supervision
        import trackers

        tracker = getattr(trackers, name)(frame_rate=fps, **options)
        frames = [supervision.Detections(boxes.ltrb, confidence=boxes.score) for boxes in tables]
        return (tracker.update(rows).tracker_id for rows in frames)

    return adapter


OURS, DELAYED = "ours: Linker.update", "ours: link_stream"
COMPILED = ", C++"
TRACKERS: dict[str, Adapter] = {
    OURS: ours,
    DELAYED: ours_delayed,
    "boxmot ByteTrack": boxmot("bytetrack"),
    "boxmot OC-SORT": boxmot("ocsort"),
    "boxmot BoT-SORT": boxmot("botsort", use_cmc=False, use_embeddings=False),
    "boxmot SFSORT": boxmot("sfsort"),
    "boxmot ByteTrack" + COMPILED: boxmot("bytetrack", "cpp"),
    "boxmot OC-SORT" + COMPILED: boxmot("ocsort", "cpp"),
    "boxmot SFSORT" + COMPILED: boxmot("sfsort", "cpp"),
    "trackers SORT": roboflow("SORTTracker"),
    "trackers ByteTrack": roboflow("ByteTrackTracker"),
    "trackers OC-SORT": roboflow("OCSORTTracker"),
    "trackers BoT-SORT": roboflow("BoTSORTTracker", enable_cmc=False),
    "trackers C-BIoU": roboflow("CBIoUTracker"),
}


class Run(NamedTuple):
    """What following one crowd took, and what came of it."""

    frames: int
    cpu_s: float
    wall_s: float
    boxes: int
    people: int

    @property
    def rate(self) -> float:
        """Frames per second of CPU time."""
        return self.frames / self.cpu_s


def follow(name: str, tables: list[Boxes], budget_s: float) -> Run:
    """Time one tracker over one crowd, for at most about `budget_s` of CPU time."""
    steps = TRACKERS[name](tables, FPS)
    ids = []
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for reported in steps:
        ids.append(reported)
        if time.process_time() - cpu > budget_s:
            break
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    together = np.concatenate(ids)
    together = together[together >= 0]
    return Run(len(ids), cpu, wall, len(together), len(np.unique(together)))


def follow_crowd(
    name: str, people: int, frames: int, view: tuple[float, float], budget_s: float
) -> Run:
    """`follow`, but the crowd is drawn here, in the tracker's own process."""
    return follow(name, crowd(people, frames, view=view), budget_s)


def silence() -> None:
    """Send what a peer prints nowhere: its results come back another way, its errors too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def start(console: Console) -> dict[str, ProcessPoolExecutor]:
    """A process for every tracker that can be used here; those that cannot are named."""
    os.environ.update(ONE_THREAD)
    processes = {}
    missing: dict[str, list[str]] = {}
    for name in TRACKERS:
        process = ProcessPoolExecutor(1, get_context("spawn"), initializer=silence)
        try:
            process.submit(follow_crowd, name, 20, 10, VIEW, 60.0).result()
        # Whatever keeps a peer from running must not keep us from being measured.
        except Exception as error:
            if name in (OURS, DELAYED):
                raise
            reason = " ".join(str(error).splitlines()[:2])
            missing.setdefault(f"{type(error).__name__}: {reason}", []).append(name)
            process.shutdown()
        else:
            processes[name] = process
    for reason, names in missing.items():
        console.print(f"left out: {'; '.join(names)} ({reason}).", highlight=False)
    if missing:
        console.print(f"to install: {INSTALL} (and see its comments)", highlight=False)
    return processes


def alternate(
    processes: dict[str, ProcessPoolExecutor], people: int, args: argparse.Namespace
) -> dict[str, Run]:
    """Best run of each tracker over one crowd; all take turns."""
    runs: dict[str, list[Run]] = {name: [] for name in processes}
    for _ in range(args.repeats):
        for name, process in processes.items():
            job = (name, people, args.frames, VIEW, args.budget_s)
            runs[name].append(process.submit(follow_crowd, *job).result())
    return {name: max(some, key=lambda run: run.rate) for name, some in runs.items()}


def speed_table(people: int, runs: dict[str, Run]) -> Table:
    table = Table(title=f"{people:,} people per frame", title_justify="left")
    table.add_column("tracker")
    for heading in (
        "frames/s",
        "CPU µs/frame",
        "wall µs",
        "frames",
        "boxes/frame",
        "ids",
        "ours ×",
    ):
        table.add_column(heading, justify="right")
    for name, run in sorted(runs.items(), key=lambda item: -item[1].rate):
        table.add_row(
            name,
            f"{run.rate:,.1f}",
            f"{1e6 * run.cpu_s / run.frames:,.0f}",
            f"{1e6 * run.wall_s / run.frames:,.0f}",
            f"{run.frames}",
            f"{run.boxes / run.frames:,.0f}",
            f"{run.people:,}",
            f"{runs[OURS].rate / run.rate:,.1f}",
        )
    return table


def bar_table(results: dict[int, dict[str, Run]]) -> Table:
    """Ours against the fastest peer of each size, of all and of those without compiled code."""
    table = Table(title=f"bar: {BAR:g} times the fastest peer's frames/s", title_justify="left")
    for heading in ("people", "ours", "link_stream"):
        table.add_column(heading, justify="right")
    for heading in ("fastest peer in Python", "fastest peer"):
        table.add_column(heading)
        table.add_column("ratio", justify="right")
    for people, runs in results.items():
        row = [f"{people:,}", f"{runs[OURS].rate:,.0f}", f"{runs[DELAYED].rate:,.0f}"]
        peers = {name: run.rate for name, run in runs.items() if name not in (OURS, DELAYED)}
        python = {name: rate for name, rate in peers.items() if COMPILED not in name}
        for rates in (python, peers):
            best = max(rates, key=rates.__getitem__, default="")
            ratio = runs[OURS].rate / rates.get(best, float("inf"))
            verdict = f"{ratio:.1f} {'met' if ratio >= BAR else 'missed'}"
            row += [f"{best} {rates[best]:,.0f}", verdict] if best else ["none here", ""]
        table.add_row(*row)
    return table


def growth_table(process: ProcessPoolExecutor, args: argparse.Namespace) -> Table:
    """Our time per frame against plausible pairs; the last column is the slope in a log-log plot.

    In one view a larger crowd is a denser one, so pairs grow with its square; where the view grows
    with the crowd, both grow alike.
    """
    table = Table(title=f"growth of {OURS}", title_justify="left")
    for heading in ("view", "people", "pairs", "CPU µs/frame", "ns/pair", "slope"):
        table.add_column(heading, justify="left" if heading == "view" else "right")
    for kind in ("one view", "constant density"):
        before = None
        for people in args.growth:
            scale = (people / DENSITY) ** 0.5 if kind == "constant density" else 1.0
            view = (VIEW[0] * scale, VIEW[1] * scale)
            job = (OURS, people, args.frames, view, args.budget_s)
            runs = [process.submit(follow_crowd, *job).result() for _ in range(args.repeats)]
            taken = 1 / max(run.rate for run in runs)
            pairs = plausible_pairs(crowd(people, min(args.frames, 21), view=view))
            slope = np.log(taken / before[0]) / np.log(pairs / before[1]) if before else None
            table.add_row(
                f"{kind}, {view[0]:.0f}×{view[1]:.0f}",
                f"{people:,}",
                f"{pairs:,.0f}",
                f"{1e6 * taken:,.0f}",
                f"{1e9 * taken / pairs:,.0f}",
                "" if slope is None else f"{slope:.2f}",
            )
            before = (taken, pairs)
        table.add_section()
    return table


def machine() -> str:
    """The processor, how busy it is, and the versions that matter."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":")[1].strip() for line in described.splitlines() if "model name" in line]
    versions = []
    for package in ("numpy", "scipy", "boxmot", "lapx", "trackers", "supervision"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores{load};"
        f" Python {platform.python_version()}, {', '.join(versions)}; one thread each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--growth", type=int, nargs="*", default=[50, 200, 1000, 4000])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--budget-s",
        type=float,
        default=10.0,
        help="CPU time after which a run stops; its rate is then that of the first frames",
    )
    args = parser.parse_args()
    console = terminal()
    console.print(machine(), highlight=False)
    processes = start(console)
    results = {}
    for people in args.people:
        results[people] = alternate(processes, people, args)
        console.print(speed_table(people, results[people]))
    console.print(bar_table(results))
    if args.growth:
        console.print(growth_table(processes[OURS], args))
    for process in processes.values():
        process.shutdown()


if __name__ == "__main__":
    main()
