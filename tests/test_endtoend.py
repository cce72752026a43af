"""benchmarks/endtoend.py: what its table calls those that it compares."""

import pytest

pytest.importorskip("openvino", reason="the peers are OpenVINO files")

from benchmarks.endtoend import LOOKS, Ours


def test_two_runs_with_weights_of_one_name_are_two_rows():
    files = ("runs/a/weights.safetensors", "runs/b/weights.safetensors", None)
    names = {Ours(file, 0, "auto", fps, True).name for file in files for fps in (LOOKS, 0.0)}
    assert len(names) == 6
