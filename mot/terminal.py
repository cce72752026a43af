"""Where tables are printed: a terminal as wide as it is, or plain text in a file or a pipe."""

from rich.console import Console

PLAIN_WIDTH = 120  # characters where the output is no terminal


def terminal(width: int = PLAIN_WIDTH) -> Console:
    """Stdout for tables, plain and `width` characters wide where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=width)
