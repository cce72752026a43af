import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from mot.halves import HalvesFlags, main, write_halves
from mot.sequence import open_sequence
from tests.conftest import complaint


def lines(boxes: Boxes) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in vars(boxes).values()), strict=True))


def test_halves_hold_every_frame_and_row_once(make_scene, tmp_path, capsys):
    whole = open_sequence(make_scene("MOT17-02", frames=11, seqLength=11))
    main([str(tmp_path), str(tmp_path / "halves"), "--seqs", "MOT17-02"])
    assert "leakage, identities" in capsys.readouterr().out
    first, second = (
        open_sequence(tmp_path / "halves" / f"MOT17-02-{half}") for half in ("first", "second")
    )
    assert (first.length, second.length, second.fps) == (5, 6, whole.fps)
    for kind in ("truth", "detections"):
        rows = getattr(whole, kind)()
        before, after = getattr(first, kind)(), getattr(second, kind)()
        after = after.with_columns(frame=after.frame + 5)
        assert sorted(lines(before) + lines(after)) == sorted(lines(rows))
    for number, name in enumerate(whole.images):
        half, index = (first, number) if number < 5 else (second, number - 5)
        copy = half.frames_at / half.images[index]
        assert copy.read_bytes() == (whole.frames_at / name).read_bytes()


def test_a_video_is_not_split_and_a_taken_folder_not_replaced(make_scene, tmp_path, capsys):
    make_scene("film", video=True, imDir="video.mp4")
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path / "halves"), "--seqs", "film"])
    assert "folder of all its images" in complaint(capsys)
    make_scene("walk")
    flags = HalvesFlags(tmp_path, tmp_path / "out", ("walk",), gap_s=0.04)
    write_halves(flags)
    assert open_sequence(tmp_path / "out" / "walk-second").length == 5
    with pytest.raises(InputError, match="it is there"):
        write_halves(flags)
