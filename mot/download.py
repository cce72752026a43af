"""Get a MOTChallenge data set: `python -m mot.download MOT17 --out data`.

Downloads the archive (a broken download goes on where it broke off), checks it, and unpacks it
into a folder of the data set's name. docs/data.md shows a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.fetch import fetch, forget_partial, partial_path
from mot.progress import progress_bar
from mot.sequence import data_root, list_sequences
from mot.unpack import unpack

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Archive:
    """Where a data set is published.

    Attributes:
        url: address of its zip file.
        gigabytes: about what its page says it weighs, None = it does not say.
        sha256: checksum that its publisher gives, None = they give none.
    """

    url: str
    gigabytes: float | None = None
    sha256: str | None = None


# motchallenge.net publishes sizes on its pages and no checksums (as of 2026).
ARCHIVES = {
    "MOT17": Archive("https://motchallenge.net/data/MOT17.zip", gigabytes=5.5),
    "MOT20": Archive("https://motchallenge.net/data/MOT20.zip", gigabytes=5.0),
    "MOT15": Archive("https://motchallenge.net/data/MOT15.zip", gigabytes=1.3),
}


@dataclass(frozen=True)
class DownloadFlags:
    """Download and unpack a MOTChallenge data set, or unpack one that is already here."""

    name: tyro.conf.Positional[str]
    """MOT17, MOT20 or MOT15; with --url or --from-zip any other name, too."""
    out: Path = field(default_factory=data_root)
    """Folder to put NAME/ and NAME.zip in; $FOOTFALL_DATA, else data/."""
    url: str | None = None
    """Address of a mirror of the zip file."""
    from_zip: Path | None = None
    """Unpack this zip file; nothing is downloaded."""
    sha256: str | None = None
    """Checksum that the zip file must have."""
    replace: bool = False
    """An existing NAME/ gives way once the new one is whole."""
    tries: int = 6
    """Tries in a row without a byte before giving up; the waits between them double from 1 s."""
    timeout_s: float = 30.0
    """Seconds of the server's silence that count as a broken connection."""

    def __post_init__(self) -> None:
        plain = re.fullmatch(r"[\w.-]+", self.name) and not self.name.startswith(".")
        known = self.name in ARCHIVES or self.url or self.from_zip
        if not (plain and known):
            wanted = f"one of {', '.join(ARCHIVES)}"
            raise InputError("name", wanted, self.name, "other sets need --url or --from-zip")
        both = self.url is not None and self.from_zip is not None
        require_setting(self, "url", not both, "none beside --from-zip")
        digest = self.sha256 is None or re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256)
        require_setting(self, "sha256", bool(digest), "64 hexadecimal digits")
        require_setting(self, "tries", self.tries >= 1, "1 or more")
        require_setting(self, "timeout_s", self.timeout_s > 0, "seconds above 0")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    folder = get(parse_flags(DownloadFlags, arguments, description=__doc__))
    count = len(list_sequences(folder))
    print(f"{folder}: {count} sequence{'s' * (count != 1)}")


def get(flags: DownloadFlags) -> Path:
    """Bring a data set here and return its folder.

    Raises:
        InputError: the folder exists; what `mot.fetch` and `mot.unpack` refuse; a checksum that
            differs from --sha256, from its publisher's, or from that of an earlier download.
    """
    folder = flags.out / flags.name
    if folder.exists() and not flags.replace:
        raise InputError(
            folder, "a folder that is not there yet", "one that is", "remove it, or give --replace"
        )
    archive = flags.from_zip or flags.out / f"{flags.name}.zip"
    if archive.is_file():
        if flags.from_zip is None:
            print(f"{archive}: is here already, not downloaded again")
        _check(archive, archive, flags)
    elif flags.from_zip is None:
        _download(archive, flags)
    else:
        raise InputError(archive, "a zip file", "no such file", "correct --from-zip")
    unpack(archive, folder, replace=flags.replace)
    return folder


def _download(archive: Path, flags: DownloadFlags) -> None:
    """Fetch the archive; it takes its name once its checksum is right."""
    url = flags.url or ARCHIVES[flags.name].url
    archive.parent.mkdir(parents=True, exist_ok=True)
    size = ARCHIVES[flags.name].gigabytes if flags.name in ARCHIVES else None
    print(f"{url} to {archive}" + (f", about {size:g} GB" if size else ""))
    offered = fetch(url, archive, tries=flags.tries, timeout_s=flags.timeout_s)
    digest = _check(partial_path(archive), archive, flags)
    os.replace(partial_path(archive), archive)
    forget_partial(archive)
    note = {"url": url, "sha256": digest} | asdict(offered)
    write_text(_manifest(archive), json.dumps(note, indent=2) + "\n")


def _check(file: Path, archive: Path, flags: DownloadFlags) -> str:
    """Compare the checksum of what is there with all that is known of it, and return it."""
    digest = _sha256(file)
    known = {"--sha256": flags.sha256, str(_manifest(archive)): _earlier(archive)}
    if flags.name in ARCHIVES:
        known["its publisher's checksum"] = ARCHIVES[flags.name].sha256
    known = {whose: value.lower() for whose, value in known.items() if value}
    print(f"{archive}: {file.stat().st_size:,} bytes, sha256 {digest}")
    for whose, value in known.items():
        if value != digest:
            raise InputError(
                file,
                f"sha256 {value} ({whose})",
                digest,
                f"remove {file} to download it again, or what {whose} says if it is out of date",
            )
    if known:
        print(f"checksum agrees with {', '.join(known)}")
    else:
        print("there is no published checksum to compare with: note it for --sha256 elsewhere")
    return digest


def _manifest(archive: Path) -> Path:
    """Where the source and the checksum of a download are noted."""
    return archive.with_name(f"{archive.name}.json")


def _earlier(archive: Path) -> str | None:
    """Checksum of an earlier download of the archive, None where there was none."""
    path = _manifest(archive)
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            path, "the note of an earlier download, with sha256", "something else", "remove it"
        ) from error


def _sha256(path: Path) -> str:
    """Checksum of a file, with a bar for large ones."""
    digest = hashlib.sha256()
    size, title = path.stat().st_size, f"checksum of {path.name}"
    with progress_bar(size, unit="B", title=title, scaled=True) as bar, open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


if __name__ == "__main__":
    one_line_errors(main)()
