import numpy as np
import pytest

from benchmarks.false_alarms import AlarmFlags, count_alarms, draw_window, main


def test_windows_touch_nobody():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(40):
        taken = rng.uniform(0, 90, (3, 4)).astype(np.float32)
        taken[:, 2:] = taken[:, :2] + 12
        window = draw_window(taken, (96, 128), rng)
        if window is None:
            continue
        found += 1
        left, top, right, bottom = window
        assert 0 <= left < right <= 128 and 0 <= top < bottom <= 96
        shown = np.zeros((200, 200), bool)
        for box in taken.round().astype(int):
            shown[box[1] : box[3], box[0] : box[2]] = True
        # Half a pixel of rounding on either side.
        assert not shown[top + 1 : bottom - 1, left + 1 : right - 1].any()
    assert found > 20
    whole = np.array([[0, 0, 128, 96]], np.float32)
    assert draw_window(whole, (96, 128), rng) is None


def test_a_net_that_sees_people_everywhere_is_found_out(scene, tiny_weights, tmp_path, monkeypatch):
    flags = AlarmFlags(
        str(tiny_weights), truth=scene.parent, scenes=1, frames=1, out=tmp_path / "o"
    )
    quiet = count_alarms(flags)
    assert {"black", "white", "noise"} <= set(quiet) and len(quiet) >= 5
    monkeypatch.setattr("benchmarks.false_alarms.LinkerSettings", lambda: NoLimit)
    loud = count_alarms(flags)
    assert sum(map(sum, loud.values())) > sum(map(sum, quiet.values()))
    assert len(list((tmp_path / "o").glob("*.jpg"))) > 0


class NoLimit:
    birth_score = 0.0


def test_the_table_is_printed(tiny_weights, capsys):
    main(["--weights", str(tiny_weights), "--scenes", "1", "--frames", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("black" in line or "white" in line or "noise" in line for line in lines) == 3


def test_no_frames_are_refused():
    with pytest.raises(Exception, match="at least 1"):
        AlarmFlags(frames=0)
