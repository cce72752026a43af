import http.server
import logging
import threading
import time
from itertools import repeat
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mot.errors import InputError
from mot.live import _Facts, is_live, live_name, open_live
from tests.conftest import FPS, HEIGHT, WIDTH, write_video

SIZE = HEIGHT, WIDTH


class Server(http.server.ThreadingHTTPServer):
    """Sends one file to whoever asks; `connections` counts them, after `answers` it has none."""

    def __init__(self, body, kind):
        self.body, self.kind = body, kind
        self.connections, self.answers = 0, 1000
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/yard/gate"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.connections += 1
        if self.server.connections > self.server.answers:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.server.kind)
        if self.server.kind == "video/mp4":
            self.send_header("Content-Length", str(len(self.server.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(path, kind):
        server = Server(path.read_bytes(), kind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def endless(tmp_path, serve):
    """What a network camera sends: JPEGs one behind the other, without a word on how many."""
    path = tmp_path / "gate"
    write_video(tmp_path / "gate.mp4", 5)
    with (
        av.open(str(tmp_path / "gate.mp4")) as source,
        av.open(str(path), "w", format="mpjpeg") as target,
    ):
        stream = target.add_stream("mjpeg", rate=int(FPS))
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuvj420p")))
        target.mux(stream.encode())
    return serve(path, "multipart/x-mixed-replace;boundary=ffmpeg")


def test_what_is_live_and_what_it_is_called():
    assert is_live("0") and is_live("rtsp://host/gate") and not is_live("gate.mp4")
    assert live_name("0") == "camera0"
    assert live_name("rtsp://user:secret@host:554/gate?x=1") == "host-554-gate"


def test_a_film_behind_an_address_is_read_to_its_end(tmp_path, serve):
    write_video(tmp_path / "film.mp4", 12)
    server = serve(tmp_path / "film.mp4", "video/mp4")
    footage = open_live(server.address)
    assert (footage.width, footage.height, footage.fps) == (WIDTH, HEIGHT, FPS)
    numbers = [number for number, _ in footage.read(SIZE, 1)]
    assert numbers == list(range(1, 13))


def test_a_stream_that_drops_is_opened_again_and_time_passes(endless, caplog, monkeypatch):
    monkeypatch.setattr("mot.live.AHEAD", 100)  # room for all: a busy machine would drop some
    footage = open_live(endless.address, fps=FPS, max_frames=12)
    numbers = [number for number, _ in footage.read(SIZE, 1)]
    assert len(numbers) == 12 and numbers == sorted(set(numbers))
    assert endless.connections >= 4  # one to look, three to read
    assert numbers[-1] - numbers[0] > 12  # the pauses are in the numbers
    assert "is back" in caplog.text


def test_every_other_frame_of_a_camera_that_is_slower_than_it_says(monkeypatch):
    clock = iter(
        np.arange(1, 100) / 15
    )  # it says 30 frames a second and sends 15: odd numbers only
    monkeypatch.setattr("mot.live.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    frame = np.zeros((*SIZE, 3), np.uint8)
    monkeypatch.setattr("mot.live._look", lambda _: _Facts(WIDTH, HEIGHT, 30.0, endless=True))
    monkeypatch.setattr("mot.live._frames", lambda _: repeat(frame))
    monkeypatch.setattr("mot.live.AHEAD", 100)

    def numbers(every):
        footage = open_live("7", every=every, max_frames=5)
        return [number for number, _ in footage.read(SIZE, 1)]

    assert numbers(1) == [1, 3, 5, 7, 9]  # however long the first took
    assert numbers(2) == [1, 3, 5, 7, 9]
    assert numbers(4) == [1, 5, 9, 13, 17]


def test_a_stream_ends_where_frames_cannot_be_told_apart(endless, caplog, monkeypatch):
    monkeypatch.setattr("mot.live.LAST_FRAME", 4)
    monkeypatch.setattr("mot.live.AHEAD", 100)
    numbers = [number for number, _ in open_live(endless.address, fps=FPS).read(SIZE, 1)]
    assert numbers == [1, 2, 3]
    assert "can be told apart" in caplog.text


def test_a_stream_that_stays_away_has_ended(endless, caplog):
    footage = open_live(endless.address, fps=FPS, reconnect_s=0.6)
    endless.answers = endless.connections + 1
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert len(list(footage.read(SIZE, 1))) <= 5
    assert time.monotonic() - start < 10
    assert "taken for its end" in caplog.text


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"every": 0}, "--every"),
        ({"max_frames": -1}, "--max-frames"),
        ({"fps": 0.0}, "--fps"),
        ({"reconnect_s": -1.0}, "--reconnect-s"),
    ],
)
def test_settings_out_of_range_are_refused(settings, flag):
    with pytest.raises(InputError, match=f"^{flag}: "):
        open_live("99", **settings)


def test_digits_that_name_a_folder_are_no_camera(tmp_path, monkeypatch):
    (tmp_path / "0002").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_live("0002") and is_live("2")


def test_what_does_not_answer_ends_in_one_line():
    with pytest.raises(InputError, match="check the address"):
        open_live("http://127.0.0.1:9/nothing.mp4")
    for index in ("99", "1000000000000"):
        with pytest.raises(InputError, match=f"camera {index}"):
            open_live(index)
