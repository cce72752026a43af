"""One large file over HTTP: resumed where it broke off, tried again, never half there.

What has come so far lies in NAME.part, what the server said of it in NAME.part.json. The file takes
its name when all of it is there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mot.atomic import write_text
from mot.errors import InputError
from mot.growing import GrowingFile
from mot.progress import progress_bar

BLOCK_BYTES = 1 << 18
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# Request timeout, too many requests, and what servers say when they are not well.
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
NO_SUCH_RANGE = 416
# Not OSError as such: a full disk is one as well.
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


@dataclass(frozen=True)
class Validator:
    """What tells one version of a file on a server from another.

    Attributes:
        size: bytes of the whole file, None = the server does not say.
        etag: ETag header, empty where there is none.
        modified: Last-Modified header, empty where there is none.
    """

    size: int | None = None
    etag: str = ""
    modified: str = ""

    @property
    def if_range(self) -> str:
        """What to send as If-Range; a weak ETag is not allowed there (RFC 9110, 13.1.5)."""
        return self.modified if self.etag.startswith("W/") or not self.etag else self.etag

    def agrees(self, other: Validator) -> bool:
        """Whether nothing that both know differs; an answer to If-Range may leave some out."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)


class _Interrupted(Exception):
    """The transfer broke off; another try may go on from there."""


def fetch(
    url: str,
    target: Path,
    *,
    tries: int = 6,
    timeout_s: float = 30.0,
    wait: Callable[[float], None] = time.sleep,
) -> Validator:
    """Download a file, going on from what an earlier call has left in `target`.part.

    A broken transfer is tried again after 1, 2, 4, … seconds; tries count from the last byte that
    came. Where the server does not send parts, or has another version of the file by now, the
    transfer starts anew and says so.

    Args:
        url: http or https.
        target: where the file goes; its folder must exist.
        tries: in a row without a single byte, before giving up.
        timeout_s: silence of the server that counts as broken.
        wait: called with the seconds between two tries.

    Returns:
        What the server says of the file. `partial_path(target)` then holds all of it: to rename it
        is up to the caller, who may want to look at it first.

    Raises:
        InputError: no such address, refused, or out of tries. What came is kept.
        OSError: the disk is full. What came is kept.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InputError(
            "url", "an address that begins with http:// or https://", url, "correct it"
        )
    failed = 0
    while True:
        before = _size(partial_path(target))
        try:
            return _transfer(url, target, timeout_s)
        except _Interrupted as error:
            failed = 1 if _size(partial_path(target)) > before else failed + 1
            if failed >= tries:
                raise InputError(
                    url,
                    "the whole file",
                    f"{_size(partial_path(target)):,} bytes, then {error}",
                    "run the same command again later: it goes on from there",
                ) from error
            pause = min(FIRST_WAIT_S * 2 ** (failed - 1), LONGEST_WAIT_S)
            print(f"{error}; trying again in {pause:g} s", file=sys.stderr)
            wait(pause)


def partial_path(target: Path) -> Path:
    """Where the bytes lie while they are coming."""
    return target.with_name(f"{target.name}.part")


def forget_partial(target: Path) -> None:
    """Remove what an unfinished download has left."""
    for path in (partial_path(target), _note_path(target)):
        path.unlink(missing_ok=True)


def _note_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _transfer(url: str, target: Path, timeout_s: float) -> Validator:
    """Ask for what is missing and append it; raises _Interrupted where the stream ends early."""
    known = _read_note(target, url)
    begun = _size(partial_path(target))
    have = begun if known else 0
    try:
        with _open(url, have, known, timeout_s) as response:
            offered = _validator(response)
            keep = have if _continues(response, have, known, offered) else 0
            if not keep and response.status == http.HTTPStatus.PARTIAL_CONTENT:
                forget_partial(target)
                raise _Interrupted("the file on the server is another one by now")
            if begun and not keep:
                print(f"{target.name}: no going on from {begun:,} bytes; anew", file=sys.stderr)
            if not keep:
                _write_note(target, url, offered)
            _require_space(target, (offered.size or 0) - keep)
            _append(response, target, keep, offered.size)
            return offered
    except urllib.error.HTTPError as error:
        if error.code == NO_SUCH_RANGE and known:
            if known.size is not None and _total(error.headers.get("Content-Range")) == have:
                return known  # all of it had come already
            forget_partial(target)
            raise _Interrupted("the file on the server has another size by now") from error
        if error.code in WORTH_ANOTHER_TRY:
            raise _Interrupted(f"the server says {error.code} {error.reason}") from error
        raise InputError(
            url, "a file to download", f"{error.code} {error.reason}", "check the address, or --url"
        ) from error
    except NETWORK_ERRORS as error:
        reason = getattr(error, "reason", None) or error
        raise _Interrupted(str(reason) or type(error).__name__) from error


def _require_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise InputError(
            target, f"{needed:,} bytes of free disk", f"{free:,}", "free some, or change --out"
        )


def _open(
    url: str, have: int, known: Validator | None, timeout_s: float
) -> http.client.HTTPResponse:
    """Send the request, for the rest of the file where a beginning is there."""
    # The bytes as they lie on the server: a range of a compressed stream is no range of the file.
    headers = {"Accept-Encoding": "identity", "User-Agent": "footfall"}
    if have and known:
        headers["Range"] = f"bytes={have}-"
        if known.if_range:
            headers["If-Range"] = known.if_range
    request = urllib.request.Request(url, headers=headers)
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)
    return response


def _validator(response: http.client.HTTPResponse) -> Validator:
    """Size of the whole file and its version, of a full answer or a part."""
    headers = response.headers
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        size = _total(headers.get("Content-Range"))
    else:
        length = headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
    return Validator(size, headers.get("ETag", ""), headers.get("Last-Modified", ""))


def _total(content_range: str | None) -> int | None:
    """Size of the whole file in a header `bytes 5-9/10` or `bytes */10`."""
    found = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", (content_range or "").strip())
    return int(found[1]) if found else None


def _continues(
    response: http.client.HTTPResponse, have: int, known: Validator | None, offered: Validator
) -> bool:
    """Whether the answer is the rest of the very file whose beginning is there."""
    if not have or response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return False
    begins = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
    return begins and known is not None and known.agrees(offered)


def _append(response: http.client.HTTPResponse, target: Path, keep: int, total: int | None) -> None:
    """Write what comes behind the `keep` bytes that are there."""
    bar = progress_bar(total, unit="B", title=target.name, start=keep, scaled=True)
    with bar, GrowingFile(partial_path(target), keep=keep) as file:
        try:
            while block := response.read(BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))
        except http.client.IncompleteRead as error:
            file.write(error.partial)
            raise
        if total is not None and file.size < total:
            raise _Interrupted(f"the connection closed after {file.size:,} of {total:,} bytes")


def _read_note(target: Path, url: str) -> Validator | None:
    """What the server said when the partial file was begun; None where nobody knows."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        note = json.loads(_note_path(target).read_text(encoding="utf-8"))
        if note.pop("url") == url:
            return Validator(**note)
    return None


def _write_note(target: Path, url: str, validator: Validator) -> None:
    write_text(_note_path(target), json.dumps({"url": url, **asdict(validator)}) + "\n")
