"""Runners of torch: a module, or a TorchScript file, on whatever device torch has."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import torch

from mot.errors import InputError
from nets.runner import MODULE, Batch, Maps, Model, Place, Runner

TORCHSCRIPT = ".torchscript"
READS = (MODULE, TORCHSCRIPT)
NOTES = "extra/footfall.json"  # where TorchScript's archive keeps what is put beside the code


def runner(model: Model, place: Place) -> Runner:
    """Run a module, in bf16 where the place says so, or a TorchScript file in its own precision."""
    if model.form == MODULE:
        return _of_module(model, place)
    return _of_file(model, place)


def _of_module(model: Model, place: Place) -> Runner:
    device = place.device
    placed = model.module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(batch: Batch) -> Maps:
        images = torch.from_numpy(batch).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, place.bf16):
            maps = placed(images)
        return {name: values.float().cpu().numpy() for name, values in maps.items()}

    return Runner(f"torch {'bf16' if place.bf16 else 'fp32'}", run)


def _of_file(model: Model, place: Place) -> Runner:
    try:
        loaded = torch.jit.load(model.file, map_location=place.device)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        remedy = "export the net again"
        raise InputError(model.file, "a TorchScript file", reason, remedy) from error

    def run(batch: Batch) -> Maps:
        with torch.inference_mode():
            maps = loaded(torch.from_numpy(batch).to(place.device))
        return {
            name: values.float().cpu().numpy()
            for name, values in zip(model.outputs, maps, strict=True)
        }

    return Runner(f"torchscript {model.precision}", run)


def metadata(path: Path) -> dict[str, str]:
    """Text by key that a TorchScript file carries; nothing where it is another's.

    Raises:
        InputError: no TorchScript file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if name.endswith(f"/{NOTES}")]
            notes = json.loads(archive.read(found[0])) if found else {}
    except (zipfile.BadZipFile, ValueError) as error:
        raise InputError(path, "a TorchScript file", error, "export the net again") from error
    return {str(key): str(value) for key, value in notes.items()}
