"""Small runs of benchmarks/endurance.py: memory over a long film, files under kills."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from benchmarks.endurance import BAR_KB, follow_long, kill_often, run_command, slope_kb

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")


def test_the_slope_is_what_memory_grows_by():
    peaks = [(frame, 5000 + 3 * frame / 1000) for frame in range(500, 9000, 500)]
    assert slope_kb([(1, 0), *peaks]) == pytest.approx(3)


@pytest.mark.parametrize(
    ("frames", "settled_at", "most_kb"),
    # In a short film the report keeps a picture's place of every frame; a frame is 18 kB.
    [(700, 300, 3000), pytest.param(12_000, 2000, 10 * BAR_KB, marks=pytest.mark.slow)],
)
def test_memory_is_held(tmp_path, frames, settled_at, most_kb):
    # A process of its own: what other tests have freed or hold would show here as growth.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        run, peaks = pool.submit(follow_long, frames, tmp_path / "run", frames // 14).result()
    assert run.summary["frames"] == frames and run.summary["people"] > frames / 100
    assert len(peaks) == 14 and slope_kb(peaks, settled_at) < most_kb


@pytest.mark.slow
def test_kills_leave_whole_files_and_the_same_last_ones(tmp_path):
    story = list(kill_often(tmp_path, kills=3, frames=400, save_s=0.3, run=run_command))
    assert len(story) == 3 and all(0 <= kill.frames <= 400 for kill in story)
