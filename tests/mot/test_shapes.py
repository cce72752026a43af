import numpy as np
import pytest

from mot.errors import InputError
from mot.shapes import expect


def test_letters_return_lengths():
    assert expect(np.zeros((5, 48, 64, 3)), "T H W 3") == {"T": 5, "H": 48, "W": 64}


@pytest.mark.parametrize(
    ("shape", "axes"), [((5, 4), "N 3"), ((5,), "N 4"), ((2, 3, 4), "N N 4"), ((), "N")]
)
def test_what_does_not_fit_is_named(shape, axes):
    with pytest.raises(InputError, match="boxes: expected shape"):
        expect(np.zeros(shape), axes, "boxes")


def test_the_same_letter_is_the_same_length():
    assert expect(np.zeros((4, 4)), "N N") == {"N": 4}
