"""The recipes of docs/extending.md, applied to a copy of the code and used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_train import TINY

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("mot", "labelmaps", "nets", "reid", "weights")
BLOCK = re.compile(
    r"^```python\n# (?P<path>[\w/.]+)(, (?P<menu>\w+))?\n(?P<code>.*?)^```$", re.M | re.S
)


def apply(code: str, path: Path, menu: str | None) -> None:
    """Do to a file what a block of the page says."""
    text = path.read_text() if path.exists() else ""
    if menu:
        entry = re.compile(rf"^{menu}\b.*= \{{\n", re.M)
        assert len(entry.findall(text)) == 1, f"{path.name} has one dict {menu}"
        text = entry.sub(lambda found: f"{found[0]}    {code}", text)
    elif text:
        first = re.search(r"^(MENU|DENSITY_LOSSES)\b.*= \{$", text, re.M)
        assert first, f"{path.name} has a dict that its parts stand above"
        text = f"{text[: first.start()]}{code}\n\n{text[first.start() :]}"
    else:
        text = code
    path.write_text(text)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with all recipes in it."""
    copy = tmp_path_factory.mktemp("extended")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for script in ROOT.glob("*.py"):
        shutil.copy(script, copy)
    blocks = list(BLOCK.finditer((ROOT / "docs" / "extending.md").read_text()))
    assert len(blocks) == 11
    for block in blocks:
        apply(block["code"], copy / block["path"], block["menu"])
    return copy


def command(copy: Path, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_net_learns_with_a_label_map_loss_trunk_and_net_of_one_s_own(extended, scene, tmp_path):
    own = "--label cosine --loss huber count --backbone plain --net moving --frames 3".split()
    data = ["--data", scene.parent, "--cache", tmp_path / "cache", "--out", tmp_path / "run"]
    command(extended, "train.py", *data, *own, *TINY)
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(log) == 3
    config = (tmp_path / "run" / "config.yaml").read_text()
    for choice in ("label: cosine", "huber", "backbone: plain", "net: moving"):
        assert choice in config


def test_a_linker_of_one_s_own_links(extended, scene, tmp_path):
    flags = ["--detections", "public", "--linker", "patient", "--out", tmp_path / "run"]
    command(extended, "eval.py", "--data", scene.parent, "--seq", scene.name, *flags)
    assert (tmp_path / "run" / "scene.txt").read_text().count("\n") > 0
