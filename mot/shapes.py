"""One-line shape checks that open public functions, so that docstring and code cannot part."""

from typing import Protocol

from mot.errors import InputError


class Shaped(Protocol):
    """Anything with a shape: a numpy array or a torch tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""


def expect(array: Shaped, axes: str, name: str = "array") -> dict[str, int]:
    """Check the shape of an array against named axes and return the lengths by name.

    Args:
        array: numpy array or torch tensor.
        axes: space-separated axes; a number must match exactly, a letter names a length (the same
            letter twice must be the same length), e.g. ``expect(clip, "T H W 3")``.
        name: how the error calls the array.

    Returns:
        Length of each lettered axis.

    Raises:
        InputError: rank or a length differs.
    """
    wanted = axes.split()
    shape = tuple(array.shape)
    lengths: dict[str, int] = {}
    fits = len(wanted) == len(shape)
    for axis, length in zip(wanted, shape, strict=False):
        target = int(axis) if axis.isdigit() else lengths.setdefault(axis, length)
        fits = fits and target == length
    if not fits:
        raise InputError(
            name, f"shape ({', '.join(wanted)})", f"shape {shape}", "check the axes and their order"
        )
    return lengths
