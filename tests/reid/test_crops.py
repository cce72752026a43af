import cv2
import numpy as np
import pytest

from mot.errors import InputError
from reid.crops import crop_name, describe, query_and_gallery, read_crops


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((16, 8, 3), np.uint8))


def test_names_say_who_and_where(tmp_path):
    write(tmp_path, crop_name(7, 2, 450), crop_name(-1, 3, 9), crop_name(0, 1, 1, box=2))
    (tmp_path / "notes.txt").write_text("not a crop")
    crops = read_crops(tmp_path)
    assert [image.path.stem for image in crops.images] == [
        "-1_c3s1_000009_00", "0000_c1s1_000001_02", "0007_c2s1_000450_00",
    ]  # fmt: skip
    assert crops.identity.tolist() == [-1, 0, 7] and crops.camera.tolist() == [3, 1, 2]
    assert crops[crops.identity > 0].images[0].path.stem == "0007_c2s1_000450_00"
    assert describe(crops) == "3 crops of 1 people from 3 cameras"


def test_the_first_crop_of_each_person_and_camera_is_a_query(tmp_path):
    names = ["0001_c1s1_000001_00", "0001_c1s1_000002_00", "0001_c2s1_000001_00"]
    write(tmp_path, *names, "-1_c1s1_000001_00", "0000_c1s1_000001_00")
    query, gallery = query_and_gallery(tmp_path)
    assert [image.path.stem for image in query.images] == [names[0], names[2]]
    assert len(gallery) == 3 and {-1, 0} < set(gallery.identity)


def test_market_folders_are_read_as_they_are(tmp_path):
    write(tmp_path / "query", "0001_c1s1_000001_00")
    write(tmp_path / "bounding_box_test", "0001_c2s1_000001_00", "0002_c2s1_000001_00")
    query, gallery = query_and_gallery(tmp_path)
    assert len(query) == 1 and len(gallery) == 2


@pytest.mark.parametrize("name", ["anna", "7_c1s1_000001_00", "0007_c1_000001", "0007c1s1_1_1"])
def test_a_name_that_says_nobody_is_refused(tmp_path, name):
    write(tmp_path, "0001_c1s1_000001_00", name)
    with pytest.raises(InputError, match=name):
        read_crops(tmp_path)


def test_folders_without_crops_are_refused(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="crops"):
            read_crops(folder)
