from pathlib import Path

import pytest

from mot.errors import InputError
from nets import backends, predict, shipped
from nets.predict import PredictSettings


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


@pytest.fixture
def in_two(monkeypatch, tmp_path):
    """A shipped net with an int8 file beside it."""
    for name in ("net.safetensors", "net-int8.xml"):
        (tmp_path / name).touch()
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    return tmp_path / "net.safetensors"


def test_the_int8_file_is_taken_where_it_pays(in_two, monkeypatch):
    loaded = []
    monkeypatch.setattr(predict, "load_net", loaded.append)
    monkeypatch.setattr(predict, "Predictor", lambda *_: None)

    def kind(**settings):
        predict.open_predictor("net", PredictSettings(device="cpu", **settings))
        return loaded.pop().suffix

    monkeypatch.setattr(backends.platform, "machine", lambda: "x86_64")
    assert kind() == ".xml"
    for exact in ({"amp": "off"}, {"backend": "torch"}):
        assert kind(**exact) == ".safetensors"
    monkeypatch.setattr(backends.platform, "machine", lambda: "arm64")
    assert kind() == ".safetensors"


def test_a_net_of_ones_own_keeps_its_file(in_two, monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "elsewhere")
    assert shipped.int8_twin(in_two) == in_two
