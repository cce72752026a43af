import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot.errors import InputError
from mot.stills import open_stills, read_still


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, name in enumerate(["b.jpg", "a.png", "c.JPG"]):
        cv2.imwrite(str(folder / name), np.full((20 + index, 30, 3), (10, 60, 200), np.uint8))
    cv2.imwrite(str(folder / "a_mask.png"), np.zeros((20, 30), np.uint8))
    (folder / "boxes.csv").write_text(
        "image,x,y,w,h\nc.JPG,1,2,3,4\na.png,2.6,0,10,11.5\na.png,5,5,6,7\n"
    )
    return folder


def test_photos_are_frames_by_name_and_masks_are_none(photos):
    stills = open_stills(photos)
    assert stills.name == "photos" and len(stills) == 3
    assert [path.name for path in stills.paths] == ["a.png", "b.jpg", "c.JPG"]
    assert stills.boxes.frame.tolist() == [1, 1, 3]
    np.testing.assert_allclose(stills.boxes.ltwh[0], [2.6, 0, 10, 11.5], rtol=1e-6)
    assert (stills.boxes.id == -1).all() and (stills.boxes.cls == 1).all()


def test_photos_are_read_as_rgb(photos):
    image = read_still(open_stills(photos), 1)
    assert image.shape == (21, 30, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [200, 60, 10]


@pytest.mark.parametrize("index", [0, 4, -1])
def test_an_index_outside_is_bad_input(photos, index):
    with pytest.raises(InputError, match="an index in 1..3"):
        read_still(open_stills(photos), index)


def test_columns_in_another_order_blank_lines_and_a_byte_order_mark(photos):
    text = "\ufeffH,w,y,x,image,note\r\n\r\n4,3,2,1,c.JPG,hm\r\n\r\n"
    (photos / "boxes.csv").write_text(text, encoding="utf-8")
    assert open_stills(photos).boxes.ltwh.tolist() == [[1, 2, 3, 4]]


def test_photos_without_people(photos):
    (photos / "boxes.csv").write_text("image,x,y,w,h\n")
    stills = open_stills(photos)
    assert len(stills) == 3 and len(stills.boxes) == 0


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a.png,1,2,3", "5 columns"),
        ("a.png,1,2,3,x", "numbers"),
        ("a.png,1,2,3,", "numbers"),
        ("a.png,1,nan,3,4", "finite"),
        ("a.png,1,2,-3,4", "above 0"),
        ("a.png,1,2,0,4", "above 0"),
        ("d.png,1,2,3,4", "photo of this folder"),
        ("../secret.png,1,2,3,4", "photo of this folder"),
        ("a_mask.png,1,2,3,4", "photo of this folder"),
    ],
)
def test_bad_rows_are_named_by_file_and_line(photos, row, expected):
    path = photos / "boxes.csv"
    path.write_text(f"image,x,y,w,h\nb.jpg,1,2,3,4\n\n{row}\n")
    with pytest.raises(InputError, match=expected) as caught:
        open_stills(photos)
    assert caught.value.where == f"{path}:4"


@pytest.mark.parametrize("text", ["", "a.png,1,2,3,4\n", "image;x;y;w;h\n"])
def test_a_missing_header(photos, text):
    (photos / "boxes.csv").write_text(text)
    with pytest.raises(InputError, match="the header"):
        open_stills(photos)


def test_folders_that_are_no_stills(photos, tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="boxes.csv"):
            open_stills(folder)
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h\n")
    with pytest.raises(InputError, match="photos"):
        open_stills(tmp_path)


def test_a_truncated_photo(photos):
    path = photos / "b.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"b\.jpg: expected a whole image"):
        read_still(open_stills(photos), 2)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(alphabet='imagexywh,.-+1290 \n\r"b.jp_\0', max_size=60))
def test_arbitrary_rows_are_read_or_are_bad_input(photos, text):
    (photos / "boxes.csv").write_bytes(b"image,x,y,w,h\nb.jpg,1,2,3,4\n" + text.encode())
    try:
        assert len(open_stills(photos).boxes) >= 1
    except InputError as error:
        assert "\n" not in str(error)
