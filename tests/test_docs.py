"""README and docs agree with the tree."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("mot", "labelmaps", "nets", "reid", "benchmarks")


def sources() -> list[str]:
    files = [p for room in ROOMS for p in (ROOT / room).rglob("*.py")]
    named = [p.relative_to(ROOT).as_posix() for p in files if p.name != "__init__.py"]
    return sorted([*named, "train.py", "eval.py", "track.py", "footfall.py"])


def test_the_file_map_lists_every_file_once() -> None:
    listed = re.findall(r"^\| `(\S+\.py)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sources()


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_nothing_large_is_tracked() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    sizes = {n: (ROOT / n).stat().st_size for n in listing.stdout.split("\0") if n}
    assert not [name for name, size in sizes.items() if size > 20_000_000]
