import random
from pathlib import Path

import pytest

from mot.errors import InputError
from mot.fetch import Validator, fetch, partial_path
from tests.mot.file_server import Behaviour, serve

CONTENT = random.Random(1).randbytes(1_000_000)


def bring(url: str, folder: Path, **options: object) -> tuple[Path, list[float]]:
    waits: list[float] = []
    target = folder / "set.zip"
    fetch(url, target, wait=waits.append, **options)
    return partial_path(target), waits


def test_a_file_comes_whole_and_with_what_the_server_says_of_it(tmp_path):
    with serve(Behaviour(CONTENT)) as url:
        said = fetch(url, tmp_path / "set.zip")
    assert partial_path(tmp_path / "set.zip").read_bytes() == CONTENT
    assert said == Validator(len(CONTENT), '"one"', "")


def test_a_dropped_connection_goes_on_where_it_broke_off(tmp_path):
    told = Behaviour(CONTENT, drops=[500_000, 250_000])
    with serve(told) as url:
        partial, waits = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT
    assert told.seen == [None, "bytes=500000-", "bytes=750000-"]
    assert waits == [1, 1]  # every byte that came starts the count anew


def test_a_later_call_goes_on_as_well(tmp_path):
    told = Behaviour(CONTENT, drops=[400_000])
    with serve(told) as url:
        with pytest.raises(InputError, match="400,000 bytes, then the connection closed"):
            bring(url, tmp_path, tries=1)
        partial, _ = bring(url, tmp_path)
        assert partial.read_bytes() == CONTENT
        bring(url, tmp_path)  # complete: the server is asked, and sends nothing
    assert told.seen == [None, "bytes=400000-", "bytes=1000000-"]


def test_a_server_that_ignores_ranges_starts_over(tmp_path, capsys):
    told = Behaviour(CONTENT, ranges=False, drops=[500_000])
    with serve(told) as url:
        partial, _ = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT
    assert "no going on from 500,000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("honours_if_range", [True, False])
def test_another_version_on_the_server_starts_over(tmp_path, honours_if_range, monkeypatch):
    told = Behaviour(CONTENT, drops=[500_000])
    with serve(told) as url:
        with pytest.raises(InputError):
            bring(url, tmp_path, tries=1)
        told.content, told.etag = CONTENT[::-1], '"two"'
        if not honours_if_range:
            monkeypatch.setattr(Validator, "if_range", "")
        partial, _ = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT[::-1]


def test_a_file_that_has_shrunk_starts_over(tmp_path):
    told = Behaviour(CONTENT, etag="", drops=[500_000])
    with serve(told) as url:
        with pytest.raises(InputError):
            bring(url, tmp_path, tries=1)
        told.content = CONTENT[:1000]
        partial, _ = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT[:1000]


def test_bytes_of_another_address_are_not_gone_on_with(tmp_path):
    partial_path(tmp_path / "set.zip").write_bytes(b"x" * 100)
    told = Behaviour(CONTENT)
    with serve(told) as url:
        partial, _ = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT and told.seen == [None]


def test_a_server_that_is_not_well_is_asked_again_with_longer_waits(tmp_path):
    with serve(Behaviour(CONTENT, statuses=[503, 500, 429])) as url:
        partial, waits = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT and waits == [1, 2, 4]


def test_giving_up_names_the_reason_and_keeps_what_came(tmp_path):
    with serve(Behaviour(CONTENT, drops=[300_000, 0, 0, 0])) as url:
        with pytest.raises(InputError, match=r"300,000 bytes.*it goes on from there"):
            bring(url, tmp_path, tries=3)
    assert partial_path(tmp_path / "set.zip").read_bytes() == CONTENT[:300_000]


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_is_final(tmp_path, code):
    told = Behaviour(CONTENT, statuses=[code])
    with serve(told) as url, pytest.raises(InputError, match=f"got {code}"):
        bring(url, tmp_path)
    assert len(told.seen) == 1


def test_nobody_there(tmp_path):
    with serve(Behaviour(b"")) as url:
        pass
    with pytest.raises(InputError, match="refused"):
        bring(url, tmp_path, tries=2)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://host/x", "MOT17.zip", "http://"])
def test_only_web_addresses(tmp_path, url):
    with pytest.raises(InputError, match="http://"):
        bring(url, tmp_path)


def test_a_file_of_unknown_size_comes_too(tmp_path):
    with serve(Behaviour(CONTENT, says_size=False)) as url:
        partial, _ = bring(url, tmp_path)
    assert partial.read_bytes() == CONTENT


def test_more_than_the_disk_holds_is_refused_before_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with serve(Behaviour(CONTENT)) as url, pytest.raises(InputError, match="1,000,000 bytes of"):
        bring(url, tmp_path)
