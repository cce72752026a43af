"""A net as one file for other programs: `python -m nets.export --to onnx --out net.onnx`.

The file is checked against torch on frames before it gets its name: a net that says something
else is not written.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.synthetic import RENDERED
from mot.terminal import terminal
from nets.export_check import (
    LIMITS,
    Difference,
    Found,
    clips_of,
    differences,
    people_found,
    require_near,
)
from nets.export_formats import FORMATS, Format
from nets.predict import Predictor, PredictSettings, load_net, model_of
from nets.samples import draw_samples


@dataclass(frozen=True)
class ExportFlags:
    """Export a net with its notes to ONNX, OpenVINO or TorchScript, checked against torch."""

    to: str
    """onnx, openvino (.xml with a .bin beside it) or torchscript."""
    out: str
    """File to write: .onnx, .xml or .torchscript."""
    weights: str | None = None
    """Weights of a net (.safetensors), footfall-m (what none means) or footfall-s."""
    precision: str = "fp32"
    """fp32; fp16: weights stored in half the bytes (onnx, openvino); bf16 (torchscript); int8
    (onnx, openvino): quantised by NNCF."""
    frames: tuple[str, ...] = (RENDERED,)
    """Videos, folders or sequences to check on, or synthetic: a rendered scene."""
    calibrate: tuple[str, ...] = (RENDERED,)
    """The same for what int8 learns its ranges from: the kind of footage that it will see."""
    windows: int = 8
    """Windows of T frames to check on, of each source."""
    calibrate_windows: int = 60
    """Windows of T frames for int8, of each source."""
    tolerance: float | None = None
    """Largest |Δ| / (1 + |torch|) in any cell; none = as fits the precision."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""

    def __post_init__(self) -> None:
        require_setting(self, "to", self.to in FORMATS, f"one of {', '.join(FORMATS)}")
        require_setting(self, "windows", self.windows >= 1, "at least 1")
        require_setting(self, "calibrate_windows", self.calibrate_windows >= 1, "at least 1")
        known = FORMATS[self.to].precisions
        fits = f"{', '.join(known)} with --to {self.to}"
        require_setting(self, "precision", self.precision in known, fits)
        limit = self.tolerance
        require_setting(self, "tolerance", limit is None or limit > 0, "above 0")


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Attributes:
        path: the file.
        megabytes: of all its files.
        backend: what computed it for the check.
        maps: how far they are from torch's.
        torch, found: people found in the samples by torch, and by the file.
    """

    path: Path
    megabytes: float
    backend: str
    maps: list[Difference]
    torch: Found
    found: Found


def export(flags: ExportFlags) -> Exported:
    """Write, check, and give the file its name.

    Raises:
        InputError: a file that is there, weights or frames that cannot be used, a package that is
            missing, or maps too far from torch's.
    """
    form, out = FORMATS[flags.to], Path(flags.out)
    _require_free(form, out)
    _require_packages(form, flags)
    trained = load_net(flags.weights)
    notes = replace(trained.notes, precision=flags.precision)
    torch = Predictor(trained, PredictSettings(backend="torch", device="cpu", amp="off"))
    samples = draw_samples(flags.frames, notes, flags.windows, flags.data)
    clips = []
    if flags.precision == "int8":
        seen = draw_samples(flags.calibrate, notes, flags.calibrate_windows, flags.data)
        clips = clips_of(torch, seen)
    with form.staged(out) as staged:
        form.write(staged, model_of(trained.net, notes), notes, clips)
        size = sum(path.stat().st_size for path in form.files(staged))
        settings = PredictSettings(backend=form.backend, device="cpu", amp=_amp(flags))
        predictor = Predictor(load_net(staged), settings)
        maps = differences(torch, predictor, samples, notes)
        require_near(maps, flags.tolerance or LIMITS[flags.precision], out)
    found = people_found(torch, samples), people_found(predictor, samples)
    return Exported(out, size / 1e6, predictor.backend, maps, *found)


def _amp(flags: ExportFlags) -> str:
    """fp32 is checked in fp32, whatever the processor would rather do."""
    return "auto" if flags.precision == "int8" else "off"


def _require_free(form: Format, out: Path) -> None:
    if out.suffix.lower() != form.suffix:
        raise InputError("--out", f"a name that ends in {form.suffix}", out, "rename it")
    for path in form.files(out):
        if path.exists():
            raise InputError(path, "a new file", "one that is there", "use another --out")


def _require_packages(form: Format, flags: ExportFlags) -> None:
    needed = [*form.packages, *(["nncf"] if flags.precision == "int8" else [])]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        where = f"--to {flags.to} --precision {flags.precision}"
        got, remedy = f"no {' and no '.join(missing)}", f"pip install {' '.join(missing)}"
        raise InputError(where, " and ".join(needed), got, remedy)


def show(done: Exported, flags: ExportFlags) -> None:
    """Print how far the file is from torch, and what both find."""
    console = terminal(100)
    limit = flags.tolerance or LIMITS[flags.precision]
    table = Table(title=f"{done.path.name} ({done.backend}) against torch", title_justify="left")
    table.add_column("map")
    for heading in ("max |Δ|", "mean |Δ|", "max |Δ| / (1 + |torch|)", "limit"):
        table.add_column(heading, justify="right")
    for map_ in done.maps:
        figures = (map_.worst, map_.mean, map_.relative, limit)
        table.add_row(map_.name, *(f"{value:.2g}" for value in figures))
    console.print(table)
    for name, found in (("torch", done.torch), (done.backend, done.found)):
        console.print(_sentence(name, found), highlight=False)
    console.print(f"{done.path}: {done.megabytes:.1f} MB", highlight=False)


def _sentence(name: str, found: Found) -> str:
    of = "" if found.people is None else f" of {found.people}"
    wrong = "" if found.people is None else f", {found.wrong} detections of nobody"
    count = "" if found.count is None else f", {found.count:.2f} people a frame by density"
    return f"{name}: {found.right}{of} people found{wrong}{count}"


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(ExportFlags, arguments)
    show(export(flags), flags)


if __name__ == "__main__":
    main()
