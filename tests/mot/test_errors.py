import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mot.errors import EXIT_BAD_INPUT, InputError, one_line_errors

ROOT = Path(__file__).resolve().parents[2]


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


LATE = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
DISGUISED = f"""
def main():
    try:
        {LATE}
    except KeyboardInterrupt as error:
        raise ValueError("what compiled code makes of it") from error
"""


@pytest.mark.parametrize("module", [LATE, DISGUISED])
def test_ctrl_c_is_one_line_while_a_script_loads_and_whatever_becomes_of_it(tmp_path, module):
    (tmp_path / "late.py").write_text(module)
    script = "from mot.errors import run_script; run_script('late')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr == "interrupted: what was written so far is kept\n"
