import cv2
import numpy as np
import pytest

from mot.errors import InputError
from mot.images import image_size, read_image, read_resized, resize


def smooth(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, image, *options):
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR), list(options))
    return path


@pytest.fixture(params=["baseline", "progressive", "png"])
def file(request, tmp_path):
    image = smooth(108, 192)
    if request.param == "png":
        return save(tmp_path / "a.png", image)
    progressive = int(request.param == "progressive")
    return save(tmp_path / "a.jpg", image, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)


@pytest.mark.parametrize(
    "size_hw", [(108, 192), (54, 96), (55, 96), (27, 48), (10, 20), (216, 384)]
)
def test_resized_is_what_reading_and_resizing_gives(file, size_hw):
    image, full_hw = read_resized(file, size_hw, "here")
    wanted = resize(read_image(file), size_hw)
    assert full_hw == (108, 192) and image.shape == (*size_hw, 3)
    assert image.flags.c_contiguous and image.dtype == np.uint8
    assert np.abs(image.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("full_hw", [(107, 192), (108, 191)])
def test_odd_sizes_do_not_shift(tmp_path, full_hw):
    path = save(tmp_path / "a.jpg", smooth(*full_hw))
    image, found_hw = read_resized(path, (24, 40), "here")
    assert found_hw == full_hw
    assert np.array_equal(image, resize(read_image(path), (24, 40)))


def test_exif_orientation_turns_size_and_picture(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(108, 192))
    raw = path.read_bytes()
    # APP1 with one tag: orientation 6, "turn clockwise to look upright".
    tags = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    block = b"Exif\0\0" + tags
    path.write_bytes(raw[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + raw[2:])
    assert image_size(path) == (108, 192)
    image, full_hw = read_resized(path, (96, 54), "here")
    assert full_hw == (192, 108)
    wanted = resize(read_image(path), (96, 54))
    assert np.abs(image.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("damage", ["empty", "text", "head", "cut", "none", "bare"])
def test_damage_is_named_whole_or_resized(tmp_path, damage):
    path = save(tmp_path / "a.jpg", smooth(108, 192))
    raw = path.read_bytes()
    if damage == "none":
        path.unlink()
    else:
        path.write_bytes(
            {
                "empty": b"",
                "text": b"no image",
                "head": raw[:20],
                "cut": raw[: len(raw) // 2],
                "bare": b"\xff\xd8\xff\xc0\0\0\0\0\0\0\0\xff\xd9",
            }[damage]
        )
    for read in (lambda: read_image(path, "here"), lambda: read_resized(path, (20, 30), "here")):
        with pytest.raises(InputError, match="^here: expected"):
            read()


def test_resize_to_the_same_size_is_the_same_array():
    image = smooth(20, 30)
    assert resize(image, (20, 30)) is image
