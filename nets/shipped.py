"""The weights that come with Footfall, and which of them is used when none is named."""

from pathlib import Path

from mot.errors import InputError

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
SUFFIX = ".safetensors"
INT8 = "-int8.xml"
BEST = WEIGHTS / "footfall-m.safetensors"
SYNTHETIC = WEIGHTS / "synthetic.safetensors"
EMBEDDER = WEIGHTS / "embedder.safetensors"


def default_weights(*, rendered: bool) -> Path:
    """Weights for real video, or for rendered scenes.

    Raises:
        InputError: they are not where the checkout has them.
    """
    return shipped(SYNTHETIC if rendered else BEST)


def named_weights(name: Path | str) -> Path:
    """A file of weights, or one of the shipped ones by its bare name: footfall-m, footfall-s."""
    path = Path(name)
    bare = path.name == str(name) and not path.suffix
    ours = WEIGHTS / f"{path.name}{SUFFIX}"
    return ours if bare and not path.exists() and ours.is_file() else path


def int8_twin(path: Path) -> Path:
    """The int8 OpenVINO file of weights that ship, where there is one; else the path itself."""
    twin = path.with_name(f"{path.stem}{INT8}")
    return twin if path.parent == WEIGHTS and twin.is_file() else path


def shipped(path: Path) -> Path:
    """The path itself, if the file is there.

    Raises:
        InputError: it is not where the checkout has it.
    """
    if not path.is_file():
        raise InputError(path, "shipped weights", "no such file", "name others with --weights")
    return path
