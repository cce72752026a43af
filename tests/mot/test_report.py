"""The table, the JSON file and the page: complete, well-formed, self-contained, safe."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from mot.boxes import Boxes
from mot.errors import InputError
from mot.report.charts import IDENTITIES, POINTS, count_chart, frame_ticks, round_step, time_line
from mot.report.html import SequenceSeries, flatten, write_report
from mot.report.preview import Preview
from mot.report.runs import runs_of
from mot.report.scene import Scene, scene_data, without_pictures
from mot.report.table import COLUMNS, CORE, print_scores, write_scores_json
from mot.scoring import score_sequence


def tracks_of(runs):
    """Tracks from (identity, first, last) runs, all boxes alike."""
    frames = [np.arange(first, last + 1) for _, first, last in runs]
    identity = np.repeat([run[0] for run in runs], [len(f) for f in frames])
    ltwh = np.stack([100.0 * identity, *np.full((3, len(identity)), 50.0)], axis=1)
    return Boxes.of(np.concatenate(frames), ltwh, identity)


TRUTH = tracks_of([(1, 1, 30), (2, 5, 20)])
TRACKS = tracks_of([(1, 1, 10), (1, 14, 30), (2, 5, 20), (7, 25, 25)])


def scores_of(*names):
    return [score_sequence(TRUTH, TRACKS, length=30, name=name) for name in names]


COUNTS = {"truth": TRUTH.per_frame(30), "tracks": TRACKS.per_frame(30)}


def drawn(counts=None, **changes):
    return SequenceSeries(
        length=30, counts=COUNTS | (counts or {}), runs=runs_of([TRACKS]), fps=10.0, **changes
    )


def report(folder, *, title="A run", names=("MOT17-02-SDP",), scored=True, config=None, **changes):
    path = folder / "report.html"
    write_report(
        path,
        title=title,
        scores=scores_of(*names) if scored else [],
        series={name: drawn(**changes) for name in names},
        config=config or {},
    )
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Fails on tags that do not nest; collects what is referred to."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "poster")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def test_table_has_every_sequence_and_combined_last(capsys):
    print_scores(scores_of("MOT17-02-SDP", "TUD-Stadtmitte"))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines[-4:]] == [
        "MOT17-02-SDP",
        "TUD-Stadtmitte",
        "COMBINED",
        "MOT17",
    ]
    assert "IoU ≥ 0.5" in lines[-1]
    assert max(map(len, lines[:-1])) <= 120
    for heading in COLUMNS:
        assert heading.split("\n")[0] in "\n".join(lines[:2])


def test_narrow_terminal_gets_the_core_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    print_scores(scores_of("MOT17-02-SDP"), console=console)
    text = console.export_text()
    assert "DetA" not in text
    assert all(heading.split("\n")[0] in text for heading in CORE)
    assert all(len(line) <= 80 for line in text.splitlines() if "protocol" not in line)


def test_json_is_keyed_by_sequence(tmp_path):
    path = tmp_path / "run" / "scores.json"
    write_scores_json(path, scores_of("a", "b"), {"seconds": 1.23456789})
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found) == ["a", "b", "COMBINED", "protocol", "seconds"]
    assert {"MOTA", "IDF1", "HOTA", "count_mae", "density_mae"} <= found["a"].keys()
    assert found["a"]["density_mae"] is None
    assert found["COMBINED"]["frames"] == 60
    assert found["seconds"] == 1.2346
    assert [p.name for p in path.parent.iterdir()] == ["scores.json"]


@pytest.mark.parametrize("name", ["COMBINED", "protocol", "seconds"])
def test_json_names_do_not_clash(tmp_path, name):
    with pytest.raises(InputError, match="rename"):
        write_scores_json(tmp_path / "scores.json", scores_of(name), {"seconds": 1})
    assert not list(tmp_path.iterdir())


def test_page_is_well_formed_and_self_contained(tmp_path):
    page = report(
        tmp_path,
        names=("MOT17-02-SDP", "TUD-Stadtmitte"),
        counts={"density": np.full(30, 1.5)},
        video="over lay.mp4",
        config={"link": {"linker": "byte"}, "seq": ["a"]},
    )
    tags = parsed(page)
    outside = [link for link in tags.links if not link.startswith(("#", "data:"))]
    assert set(outside) == {"over%20lay.mp4"}
    assert "http://" not in page and "https://" not in page and "@import" not in page
    assert len(set(tags.ids)) == len(tags.ids)
    for text in ("COMBINED", "motmetrics", "density", "link.linker", "byte", "prefers-color"):
        assert text in page
    for link in re.findall(r'href="#([^"]+)"', page):
        assert link in tags.ids


def test_names_cannot_break_the_page(tmp_path):
    evil = "</script><script>alert('1')</script>"
    page = report(tmp_path, title=evil, names=(evil,), config={evil: evil})
    parsed(page)
    assert "<script>alert" not in page


def test_page_without_truth_or_tracks(tmp_path):
    path = tmp_path / "report.html"
    nothing = SequenceSeries(length=5, counts={"tracks": np.zeros(5)}, runs=runs_of([]))
    write_report(path, title="t", scores=[], series={"v": nothing}, config={})
    page = path.read_text(encoding="utf-8")
    parsed(page)
    assert "not scored" in page and "No tracks." in page


BAD = {
    "count of another length": ({"counts": {"truth": np.zeros(29)}}, "truth count of MOT17-02-SDP"),
    "density of another length": ({"counts": {"density": np.zeros(31)}}, "density count"),
    "video elsewhere": ({"video": "/tmp/a.mp4"}, "relative to the report"),
    "video on the net": ({"video": "https://host/a.mp4"}, "relative to the report"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_write_nothing(case, tmp_path):
    changes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        report(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_time_line_shows_gaps():
    line = time_line(runs_of([TRACKS]), 30)
    assert [bar.identity for bar in line.bars] == [1, 2, 7]
    assert line.bars[0].path.count("M") == 2
    assert "frames 1 to 30, seen in 27, 1 gap" in line.bars[0].title
    # frame n is the unit from n - 1 to n
    assert re.findall(r"M(\d+) [\d.]+H(\d+)", line.bars[0].path) == [("0", "10"), ("13", "30")]


def test_time_line_keeps_the_longest_of_many():
    crowd = tracks_of([(k, 1, 1 + k % 7) for k in range(1, IDENTITIES + 51)])
    line = time_line(runs_of([crowd]), 10)
    assert (line.identities, len(line.bars), line.labelled) == (IDENTITIES + 50, IDENTITIES, False)
    assert not any(bar.title.endswith("seen in 1, 0 gaps") for bar in line.bars)


def test_long_series_are_averaged_and_keep_their_mean():
    counts = np.arange(10 * POINTS) % 10
    chart = count_chart({"tracks": counts}, len(counts))
    assert chart.step == 10 and len(chart.frames) == POINTS
    assert set(chart.values["tracks"]) == {4.5}


def test_one_frame_and_no_people_have_a_chart():
    chart = count_chart({"truth": np.zeros(1)}, 1)
    assert chart.paths["truth"].startswith("M0 100.0L")
    assert [tick.label for tick in chart.ticks_x] == ["1"]


@pytest.mark.parametrize("length", [1, 2, 7, 99, 600, 795, 12345])
def test_ticks_have_first_last_and_round_numbers(length):
    ticks = frame_ticks(length)
    numbers = [int(tick.label) for tick in ticks]
    assert (numbers[0], numbers[-1]) == (1, length)
    assert numbers == sorted(set(numbers)) and len(numbers) <= 7
    assert 0 <= ticks[0].percent <= ticks[-1].percent <= 100


@pytest.mark.parametrize(("span", "step"), [(0, 1), (3, 1), (9, 5), (36, 10), (100, 25), (101, 50)])
def test_steps_are_whole_and_round(span, step):
    assert round_step(span, 4) == step


def test_settings_are_flattened_in_order():
    nested = {"b": 1, "a": {"c": None, "d": {"e": 2}}, "f": [1, "x"]}
    assert flatten(nested) == {"b": "1", "a.c": "None", "a.d.e": "2", "f": '[1, "x"]'}


def test_frames_that_were_passed_over_are_no_part_of_the_chart():
    numbers = np.arange(1, 100, 7)
    chart = count_chart({"tracks": np.arange(15)}, 99, numbers)
    assert chart.frames == numbers.tolist()
    assert chart.values["tracks"] == list(range(15))
    assert chart.ticks_x[-1].label == "99"


def naive_runs(rows, bridge):
    """The same, a row at a time: {id: [[first, last, seen], …]}."""
    found = {}
    for frame, identity in sorted(rows):
        mine = found.setdefault(identity, [])
        if mine and frame - mine[-1][1] <= bridge:
            mine[-1] = [mine[-1][0], frame, mine[-1][2] + 1]
        else:
            mine.append([frame, frame, 1])
    return found


@pytest.mark.parametrize("bridge", [1, 3])
def test_runs_are_the_same_whatever_the_blocks(bridge):
    rng = np.random.default_rng(bridge)
    rows = sorted({(int(f), int(i)) for f, i in rng.integers(1, 12, (90, 2))})
    frame, identity = np.array(rows).T
    table = Boxes.of(frame, np.zeros((len(rows), 4)), identity)
    cuts = [slice(k, k + 13) for k in range(0, len(rows), 13)]
    expected = [[i, *run] for i, runs in sorted(naive_runs(rows, bridge).items()) for run in runs]
    for blocks in ([table], [table[cut] for cut in cuts]):
        # Blocks may part one frame, as those of a file do.
        assert runs_of(blocks, bridge).tolist() == expected


def scene_of(frames, **changes):
    return Scene((1080, 1920), Preview(frames, b""), TRACKS, **changes)


def test_only_boxes_of_the_pictures_travel():
    data = scene_data(scene_of([1, 6, 25], truth=TRUTH), runs_of([TRACKS]), 10.0)
    assert data["tracks"][0] == [1, 100, 50, 50, 50, 0]
    assert [row[::6] for row in data["tracks"]] == [[1], [1, 2], [1, 7]]
    assert [row[::6] for row in data["truth"]] == [[1], [1, 2], [1]]
    assert data["people"]["id"] == [1, 2, 7]
    assert data["people"]["gaps"] == [1, 0, 0] and data["people"]["seen"] == [27, 16, 1]
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in data["people"]["colour"])
    assert data["trail"] == 20 and data["density"] is None


def test_boxes_that_fill_a_gap_are_marked_and_small_frames_keep_a_decimal():
    tracks = Boxes.of([3, 3], [[1.26, 2, 3, 4], [5, 6, 7, 8]], [2, 1], [0.0, 0.9])
    scene = Scene((48, 64), Preview([2, 3], b""), tracks)
    data = scene_data(scene, runs_of([tracks]), None)
    assert data["tracks"] == [[], [1, 5, 6, 7, 8, 0, 2, 1.3, 2, 3, 4, 1]]


def test_a_long_sequence_without_pictures_is_thinned():
    preview, said = without_pictures(100_000, "gone.")
    assert 1000 < len(preview.frames) <= 1500 and "gone" in said


def test_the_page_says_which_frames_it_holds(tmp_path):
    film = b"film"
    for frames, missing, said in [
        (list(range(1, 31)), "", "All 30 frames."),
        ([1, 11, 21], "", "3 of 30 frames: 1, 11, … 21."),
        ([1, 2, 9], "Lost.", "3 of 30 frames, from 1 to 9. Lost."),
        ([7], "", "1 of 30 frames, from 7 to 7."),
    ]:
        scene = Scene((48, 64), Preview(frames, film), TRACKS, missing=missing)
        assert said in report(tmp_path, scene=scene)
