from dataclasses import dataclass, field

import pytest

from mot.command_line import parse_flags
from mot.errors import InputError, require_setting


@dataclass(frozen=True)
class Part:
    """A section."""

    people: int = 3
    """How many people."""
    sizes: tuple[int, int] = (1, 2)
    """Two sizes."""
    names: tuple[str, ...] = ()
    """Any names."""

    def __post_init__(self) -> None:
        require_setting(self, "people", self.people > 0, "at least 1")


@dataclass(frozen=True)
class Flags:
    """What the command does."""

    part: Part = field(default_factory=Part)
    fast: bool = False
    """Hurry."""


def test_nothing_given_is_the_default():
    assert parse_flags(Flags, []) == Flags()


def test_fields_of_sections_are_flags_without_prefix():
    arguments = "--people 5 --sizes 3 4 --names a b --fast".split()
    assert parse_flags(Flags, arguments) == Flags(Part(5, (3, 4), ("a", "b")), fast=True)


def test_flags_are_laid_over_a_default():
    default = Flags(Part(people=7, names=("a",)), fast=True)
    assert parse_flags(Flags, ["--people", "5", "--no-fast"], default=default) == Flags(
        Part(people=5, names=("a",)), fast=False
    )


def test_the_processs_own_arguments_are_parsed_by_default(monkeypatch):
    monkeypatch.setattr("sys.argv", ["command", "--people", "9"])
    assert parse_flags(Flags).part.people == 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--poeple 5", "--poeple"),
        ("--people many", "many"),
        ("--people", "--people"),
        ("--sizes 3", "--sizes"),
        ("stray", "stray"),
    ],
)
def test_wrong_flags_are_one_line_that_names_them(arguments, words, capsys):
    with pytest.raises(InputError) as caught:
        parse_flags(Flags, arguments.split())
    message = str(caught.value)
    assert message.startswith("command line: expected known flags and values, got ")
    assert words in message
    assert not set("\n│╭╰─") & set(message)
    assert capsys.readouterr() == ("", "")


def test_what_a_dataclass_refuses_keeps_its_words():
    with pytest.raises(InputError, match=r"^--people: expected at least 1, got 0; change"):
        parse_flags(Flags, ["--people", "0"])


def test_help_shows_the_text_under_each_field(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_flags(Flags, ["--help"], description="Counts people.")
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert "Counts people." in told
    assert "How many people." in told
