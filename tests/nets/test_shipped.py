from pathlib import Path

import pytest

from mot.errors import InputError
from nets import shipped


def test_each_kind_of_video_has_its_weights(monkeypatch, tmp_path):
    for name in ("BEST", "SYNTHETIC"):
        path = tmp_path / name
        path.touch()
        monkeypatch.setattr(shipped, name, path)
    assert shipped.default_weights(rendered=False) == tmp_path / "BEST"
    assert shipped.default_weights(rendered=True) == tmp_path / "SYNTHETIC"


def test_missing_weights_name_the_flag(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "BEST", tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="--weights"):
        shipped.default_weights(rendered=False)


def test_weights_lie_beside_the_code():
    assert shipped.WEIGHTS.name == "weights" and shipped.WEIGHTS.is_dir()


def test_shipped_weights_have_bare_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.named_weights("footfall-s") == shipped.WEIGHTS / "footfall-s.safetensors"
    for other in ("footfall-s.safetensors", "./footfall-q", "runs/footfall-s"):
        assert shipped.named_weights(other) == Path(other)
    Path("footfall-s").touch()
    assert shipped.named_weights("footfall-s") == Path("footfall-s")
