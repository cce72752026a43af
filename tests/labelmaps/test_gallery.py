"""The picture of all kinds."""

import sys

import pytest

from labelmaps import gallery


def test_draws_every_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gallery", str(tmp_path / "kinds.png")])
    gallery.main()
    assert (tmp_path / "kinds.png").read_bytes().startswith(b"\x89PNG")


def test_a_new_kind_has_its_panel(tmp_path, monkeypatch):
    monkeypatch.setitem(gallery.MENU, "another", gallery.MENU["gaussian"])
    gallery.draw_gallery(tmp_path / "kinds.svg")
    assert "another, peaks 1" in (tmp_path / "kinds.svg").read_text()


@pytest.mark.parametrize("arguments", [[], ["a.txt"], ["a.png", "b.png"]])
def test_another_command_line_exits_2(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gallery", *arguments])
    with pytest.raises(SystemExit) as caught:
        gallery.main()
    assert caught.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1
