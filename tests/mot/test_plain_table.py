import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot.errors import InputError
from mot.plain_table import _parse_fast, _parse_slowly, read_table

NUMBER = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.sampled_from(["+1", ".5", "-0", "1e5", "1E-3", "5.", "007", " 3 "]),
    st.sampled_from(["", "1e", "--2", "1.2.3", "e5", "+", "-", "1 2", "1-2", "1e5.5", "1,2"]),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(NUMBER, min_size=2, max_size=3), min_size=1, max_size=4),
    delimiter=st.sampled_from([",", None]),
)
def test_fast_and_slow_parser_agree(rows, delimiter, tmp_path_factory):
    text = "\n".join((delimiter or " ").join(row) for row in rows)
    first = next((line for line in text.split("\n") if line.strip()), None)
    if first is None:
        return
    try:
        slow = _parse_slowly(tmp_path_factory.getbasetemp(), text.split("\n"), delimiter, 1)
    except InputError:
        slow = None
    try:
        fast = _parse_fast(text, delimiter)
    except ValueError:
        return  # the slow one then has the word
    assert slow is not None, "the fast parser took what the slow one refuses"
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(blank=st.lists(st.sampled_from(["", " ", "\t", "  "]), max_size=3), bad=st.integers(0, 4))
def test_the_line_of_a_row_is_found_between_blank_lines(tmp_path, blank, bad):
    lines = []
    for row in range(5):
        lines += [*blank, f"{row},1"]
    path = tmp_path / "table.txt"
    path.write_text("\n".join(lines))
    table = read_table(path, fewest=2)
    with pytest.raises(InputError) as caught:
        table.require(table.values[:, 0] != bad, "something else", "mend it")
    assert caught.value.where == f"{path}:{lines.index(f'{bad},1') + 1}"
    assert caught.value.got == f"'{bad},1'"


def test_what_cannot_be_printed_is_escaped(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("1,\x1b[31mred\u202e\n")
    with pytest.raises(InputError) as caught:
        read_table(path, fewest=2)
    assert caught.value.got == r"'1,\x1b[31mred\u202e'"
