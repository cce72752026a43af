"""What does the report's preview cost? `python -m benchmarks.preview`.

Frames of a rendered scene, over and over, with a noisy density map each: processor time per frame
while a run goes on and per picture at its end, bytes, and memory at growing lengths.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from mot.report.preview import PreviewRecorder
from mot.scene_settings import SceneSettings
from mot.synthetic import render_frames

STRIDE = 8  # of the density map
LENGTHS = (1_000, 3_000, 10_000, 30_000)


def resident_mb() -> float:
    """Memory of this process now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--height", type=int, default=544)
    args = parser.parse_args()
    scene = SceneSettings(frames=60, width=args.width, height=args.height)
    images = [image for image, _ in render_frames(scene)]
    cells = args.height // STRIDE, args.width // STRIDE
    noise = np.random.default_rng(0).random((len(images), *cells)).astype(np.float32) ** 8
    shown = list(zip(images, noise, strict=True))
    size_hw = args.height, args.width
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "preview"
        with PreviewRecorder(path, size_hw, count=1000) as recorder:
            start = time.process_time()
            for number in range(1000):
                recorder.add(1 + number, *shown[number % len(shown)])
            kept = time.process_time()
            preview = recorder.finish(shown=False)
            done = time.process_time()
        maps = len(preview.density.levels) if preview.density else 0
        print(f"while it runs {kept - start:.2f} ms a frame", end=", ")
        print(f"at the end {done - kept:.2f} ms a picture")
        print(f"1000 pictures: film {len(preview.film) / 1e6:.2f} MB, maps {maps / 1e6:.2f} MB")
        with PreviewRecorder(path, size_hw, count=None) as recorder:
            number = 0
            for length in LENGTHS:
                while number < length:
                    recorder.add(1 + number, *shown[number % len(shown)])
                    number += 1
                size = path.stat().st_size / 1e6
                print(f"{length} frames: file {size:.0f} MB, memory {resident_mb():.0f} MB")


if __name__ == "__main__":
    main()
