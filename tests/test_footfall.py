import importlib

import pytest

import footfall
from tests.conftest import complaint


def test_every_command_names_a_module_that_can_be_run(capsys):
    for module, _ in footfall.COMMANDS.values():
        assert callable(importlib.import_module(module).main)
    footfall.main([])
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in footfall.COMMANDS)


def test_flags_go_to_the_command(capsys):
    with pytest.raises(SystemExit) as stop:
        footfall.main(["track", "--help"])
    assert stop.value.code == 0
    assert "--max-frames" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        footfall.main(["eval"])
    assert stop.value.code == 2 and "--seq" in complaint(capsys)


def test_an_unknown_command_ends_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        footfall.main(["fly"])
    assert stop.value.code == 2 and "track" in complaint(capsys)


def test_the_version_of_what_is_installed_or_that_nothing_is(capsys):
    footfall.main(["--version"])
    assert capsys.readouterr().out.strip()
