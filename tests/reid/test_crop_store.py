import pickle

import h5py
import numpy as np
import pytest

from mot.errors import InputError
from reid.crop_store import CropStore, write_store
from reid.crops import GALLERY, QUERY, TRAIN, query_and_gallery, read_h5, training_crops

SIZE = (16, 8)
SPLIT = [TRAIN, QUERY, GALLERY, TRAIN, GALLERY]
COLUMNS = {
    "identity": np.array([1, 7, 7, 2, 0]),
    "camera": np.array([1, 1, 2, 1, 2]),
    "frame": np.arange(5),
    "split": SPLIT,
}
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), dtype=np.uint8)


def write(path, columns=COLUMNS, images=IMAGES):
    with write_store(path, columns, SIZE) as put:
        for row, image in enumerate(images):
            put(row, image)
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "crops.h5")


def test_what_is_written_is_read_by_side(file):
    crops = training_crops(file)
    assert crops.identity.tolist() == [1, 2] and crops.camera.tolist() == [1, 1]
    for image, row in zip(crops.images, (0, 3), strict=True):
        np.testing.assert_array_equal(image.read(SIZE), IMAGES[row])
    query, gallery = query_and_gallery(file)
    assert query.identity.tolist() == [7] and gallery.identity.tolist() == [7, 0]
    assert gallery.images[1].read((32, 16)).shape == (32, 16, 3)


def test_crops_are_read_in_another_process_too(file):
    crops = read_h5(file, GALLERY)
    crops.images[0].read(SIZE)
    copy = pickle.loads(pickle.dumps(crops))
    np.testing.assert_array_equal(copy.images[1].read(SIZE), IMAGES[4])
    assert copy.images[0].store is copy.images[1].store  # opened once


def test_a_file_appears_whole_and_replaces_none(tmp_path, file):
    with pytest.raises(InputError, match="a new HDF5 file"):
        write(file)
    with pytest.raises(KeyboardInterrupt), write_store(tmp_path / "b.h5", COLUMNS, SIZE) as put:
        put(0, IMAGES[0])
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["crops.h5"]


@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_named(file, left):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(InputError, match="crops.h5: expected a whole HDF5 file"):
        training_crops(file)


def test_a_damaged_crop_is_named(file):
    with h5py.File(file) as stored:
        chunk = stored["images"].id.get_chunk_info(3)
    whole = bytearray(file.read_bytes())
    whole[chunk.byte_offset + 5] ^= 0xFF
    file.write_bytes(whole)
    crops = training_crops(file)
    crops.images[0].read(SIZE)
    with pytest.raises(InputError, match="crops.h5, crop 3: expected a whole HDF5 file"):
        crops.images[1].read(SIZE)


def test_other_files_are_refused(tmp_path):
    other = tmp_path / "other.h5"
    other.write_text("no HDF5 at all")
    with pytest.raises(InputError, match="HDF5"):
        CropStore(other)
    for name, values in [
        ("images", np.zeros((5, 4, 4), np.uint8)),
        ("images", np.zeros((5, 4, 4, 3), np.float32)),
        ("images", np.zeros((4, 4, 4, 3), np.uint8)),
        ("images", 3),
        ("identity", np.zeros(4)),
        ("identity", None),
        ("camera", 1),
        ("split", np.arange(5)),
    ]:
        with h5py.File(other, "w") as stored:
            content = {"images": IMAGES, **COLUMNS, name: values}
            for key, value in content.items():
                if value is not None:
                    stored[key] = value
        with pytest.raises(InputError, match="other.h5"):
            CropStore(other)


def test_a_side_without_crops_is_refused(tmp_path):
    only = write(tmp_path / "train.h5", COLUMNS | {"split": [TRAIN] * 5})
    assert len(training_crops(only)) == 5
    with pytest.raises(InputError, match=f"crops of {QUERY}, got those of {TRAIN}"):
        query_and_gallery(only)
