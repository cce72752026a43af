"""bf16 where it was asked for, or where it is faster."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nets import precision
from nets.precision import bf16_is_faster, use_bf16

CPU = torch.device("cpu")


@pytest.fixture
def native(monkeypatch):
    """A CPU that says that it does bf16 in hardware."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    bf16_is_faster.cache_clear()
    yield
    bf16_is_faster.cache_clear()


def test_what_is_asked_for_is_not_measured(monkeypatch):
    monkeypatch.setattr(precision, "bf16_is_faster", lambda: pytest.fail("was measured"))
    assert use_bf16("on", CPU)
    assert not use_bf16("off", CPU)


@pytest.mark.parametrize(("slow", "faster"), [(torch.float32, True), (torch.bfloat16, False)])
def test_auto_takes_bf16_where_it_is_faster(slow, faster, native, monkeypatch):
    clock = [0.0]

    def conv2d(image, kernel, **_):
        clock[0] += 2.0 if image.dtype == slow else 1.0

    monkeypatch.setattr(F, "conv2d", conv2d)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock[0])
    assert use_bf16("auto", CPU) is faster


def test_a_cpu_without_such_units_is_not_asked(native, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(precision, "bf16_is_faster", lambda: pytest.fail("was measured"))
    assert not use_bf16("auto", CPU)
