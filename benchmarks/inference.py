"""Frames per second of our nets against a plain VGG16: `python -m benchmarks.inference`.

The reference runs VGG16 up to conv4_3 once per frame, fp32 and eager, as density nets of its day
did; ours run once per clip of T frames with each backend. All take turns, pass by pass, so that a
machine that slows down slows all of them; a rate is that of the median pass.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.table import Table
from torch import nn

from mot.terminal import terminal
from nets.backends import RUNNERS, Engine, make_runner
from nets.menu import build_net
from nets.notes import NetNotes
from nets.predict import model_of
from nets.settings import NetSettings

FRAMES = 5
BAR = 25.0
VGG16_TO_CONV4_3 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
NETS = {
    "VGG16-BN width 0.5, fuse input": NetSettings(frames=FRAMES, width=0.5),
    "ResNet-18, fuse input": NetSettings(frames=FRAMES, width=1.0, backbone="resnet18"),
    "ResNet-18, fuse 4": NetSettings(frames=FRAMES, width=1.0, backbone="resnet18", fuse="4"),
    "ResNet-18, fuse none": NetSettings(frames=FRAMES, width=1.0, backbone="resnet18", fuse="none"),
}
Pass = Callable[[], object]


def reference(size_hw: tuple[int, int]) -> Pass:
    """One frame through VGG16's convolutions up to conv4_3, random weights."""
    layers: list[nn.Module] = []
    channels = 3
    for step in VGG16_TO_CONV4_3:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, step, 3, padding=1), nn.ReLU(inplace=True)]
            channels = step
    net = nn.Sequential(*layers).eval()
    frame = torch.rand(1, 3, *size_hw)

    def once() -> object:
        with torch.inference_mode():
            return net(frame)

    return once


def ours(settings: NetSettings, backend: str, size_hw: tuple[int, int]) -> Pass:
    """One clip of T frames through a net, from uint8 frames to maps."""
    torch.manual_seed(0)
    model = model_of(build_net(settings).eval(), NetNotes(settings, size_hw[0] * size_hw[1]))
    runner = make_runner(model, Engine(backend, "cpu"))
    clip = np.random.default_rng(0).integers(0, 256, (1, FRAMES, 3, *size_hw), dtype=np.uint8)
    return lambda: runner(clip)


def measure(passes: dict[str, Pass], repeats: int) -> dict[str, float]:
    """Median seconds of each pass, all in turn; the first round warms up and does not count."""
    taken: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(1 + repeats):
        for name, once in passes.items():
            start = time.perf_counter()
            once()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(544, 960), metavar=("H", "W"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    size_hw = (args.size[0], args.size[1])
    first = "VGG16 to conv4_3, fp32 eager"
    passes: dict[str, Pass] = {first: reference(size_hw)}
    frames = {first: 1}
    for name, settings in NETS.items():
        for backend in (name for name, way in RUNNERS.items() if way.installed):
            key = f"{name} | {backend}"
            passes[key], frames[key] = ours(settings, backend, size_hw), FRAMES
    seconds = measure(passes, args.repeats)
    table = Table(title=f"{size_hw[1]}x{size_hw[0]}, {args.threads} threads, T = {FRAMES}")
    for heading in ("net", "backend", "ms per pass", "frames/s", "ratio"):
        table.add_column(heading, justify="left" if heading in ("net", "backend") else "right")
    base = seconds[first]
    for key, taken in seconds.items():
        name, _, backend = key.partition(" | ")
        rate, ratio = frames[key] / taken, frames[key] * base / taken
        row = (f"{1000 * taken:.1f}", f"{rate:.1f}", f"{ratio:.1f}")
        table.add_row(name, backend or "torch", *row)
    terminal().print(table)
    print(f"bar: {BAR:g} times the reference's frames per second")


if __name__ == "__main__":
    main()
