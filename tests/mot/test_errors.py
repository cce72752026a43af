import errno
import os
import subprocess
import sys

import pytest

from mot.errors import EXIT_BAD_INPUT, InputError, one_line_errors


def test_four_parts_make_one_line():
    error = InputError("gt.txt:3", "9 columns", "'1,2'\nand more", "complete the row")
    assert str(error) == "gt.txt:3: expected 9 columns, got '1,2' and more; complete the row"
    assert (error.where, error.remedy) == ("gt.txt:3", "complete the row")


def test_bad_input_prints_one_line_and_exits_2(capsys):
    @one_line_errors
    def command() -> None:
        raise InputError("--seq", "a name", "none", "give one")

    with pytest.raises(SystemExit) as ended:
        command()
    out, err = capsys.readouterr()
    assert ended.value.code == EXIT_BAD_INPUT == 2
    assert out == "" and err == "error: --seq: expected a name, got none; give one\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_refusing_file_system_is_bad_input(capsys, code):
    @one_line_errors
    def command() -> None:
        raise OSError(code, os.strerror(code), "/mnt/full/run.txt")

    with pytest.raises(SystemExit) as ended:
        command()
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert err.count("\n") == 1 and "/mnt/full/run.txt" in err and os.strerror(code) in err


def test_other_exceptions_pass_and_results_come_back():
    @one_line_errors
    def command(value: int) -> float:
        return 1 / value

    assert command(2) == 0.5
    with pytest.raises(ZeroDivisionError):
        command(0)


def test_ctrl_c_exits_130():
    code = (
        "from mot.errors import one_line_errors\n"
        "@one_line_errors\n"
        "def command(): raise KeyboardInterrupt\n"
        "command()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 130 and ended.stderr.count("\n") == 1
