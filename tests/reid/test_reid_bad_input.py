"""Crops and settings that reid's commands refuse in one line, and odd ones that they take."""

import numpy as np
import pandas as pd
import pytest

from reid import eval as scoring
from reid import job
from reid import train as training
from reid.crop_store import write_store
from reid.crops import GALLERY, QUERY, TRAIN, crop_name
from tests.conftest import complaint
from tests.reid.conftest import SIZE, TINY, run, write_people


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(job, "draw_curves", lambda log, picture: None)


def train(tmp_path, data, *more):
    arguments = ("--data", data, *TINY, "--max-steps", 2, "--out", tmp_path / "run")
    return run(training, *arguments, *more)


@pytest.fixture
def store(tmp_path):
    columns = {name: np.arange(1, 7) for name in ("identity", "camera")}
    with write_store(
        tmp_path / "crops.h5", columns | {"split": [TRAIN, QUERY, GALLERY] * 2}, SIZE
    ) as put:
        for row in range(6):
            put(row, np.full((*SIZE, 3), 40 * row, np.uint8))
    return tmp_path / "crops.h5"


def test_a_person_with_one_crop_is_trained_on(tmp_path):
    people = write_people(tmp_path / "people", 4, cameras=1, shots=3)
    for shot in (1, 2):
        (people / f"{crop_name(1, 1, shot)}.png").unlink()
    assert train(tmp_path, people) is None
    assert np.isfinite(pd.read_csv(tmp_path / "run" / "log.csv").loss).all()


def test_batches_larger_than_the_data_repeat_crops_but_not_people(tmp_path, capsys):
    people = write_people(tmp_path / "people", 4, cameras=1, shots=2)
    assert train(tmp_path, people, "--people", 4, "--crops", 5) is None
    capsys.readouterr()
    assert train(tmp_path / "more", people, "--people", 5, "--crops", 2) == 2
    assert "--people: expected at most the 4 people of the data, got 5" in complaint(capsys)


def test_a_folder_without_crops(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    for place in (tmp_path / "none", tmp_path / "missing.h5"):
        assert train(tmp_path, place) == 2
        assert str(place) in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_an_hdf5_file_cut_short(tmp_path, store, capsys):
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2])
    assert train(tmp_path, store) == 2
    assert "crops.h5: expected a whole HDF5 file of crops" in complaint(capsys)


def test_a_crop_that_breaks_while_training(tmp_path, capsys):
    people = write_people(tmp_path / "people", 4, cameras=1, shots=2)
    for path in people.glob("0003*"):
        path.write_bytes(path.read_bytes()[:40])
    assert train(tmp_path, people) == 2
    assert "0003_c1s1" in complaint(capsys)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--weights", "nowhere.safetensors"), "nowhere.safetensors: expected a weights file"),
        (("--worst", "worst.jpg"), "--worst: expected a file name that ends in .png"),
        (("--worst-count", 0), "--worst-count: expected 1 to"),
    ],
)
def test_scoring_says_what_it_lacks(store, capsys, flags, expected):
    assert run(scoring, "--data", store, *flags) == 2
    assert expected in complaint(capsys)
