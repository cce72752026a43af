import pytest

from mot.fragments import FragmentFile

HEAD, FIRST, FRAMES = b"\0\0\0\x0cmoovdata", b"\0\0\0\x0amoofxx", b"\0\0\0\x0bmdatxxx"
LARGE = b"\0\0\0\x01mdat" + (20).to_bytes(8, "big") + b"xxxx"


@pytest.mark.parametrize("frames", [FRAMES, LARGE])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_only_whole_fragments_are_there(tmp_path, frames, step):
    path = tmp_path / "out.mp4"
    data = HEAD + FIRST + frames + FIRST + frames[:-1]
    file, held = FragmentFile(path), set()
    for start in range(0, len(data), step):
        assert file.write(data[start : start + step]) == len(data[start : start + step])
        held.add(path.read_bytes())
    assert held <= {b"", HEAD, HEAD + FIRST + frames}
    file.write(frames[-1:])
    file.close()
    assert path.read_bytes() == HEAD + 2 * (FIRST + frames)
