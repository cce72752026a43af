"""Scenes that tests draw for themselves: 12 frames of 64x48 with two people, as MOT17 folders."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

# A job in the background ignores Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

FRAMES, WIDTH, HEIGHT, FPS = 12, 64, 48, 25
MakeScene = Callable[..., Path]


def draw_frame(number: int) -> np.ndarray:
    """Frame `number` (1-based): two blocks walk towards each other; its grey tells its number."""
    image = np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8)
    image[10:40, 2 * number : 2 * number + 10] = (200, 30, 30)
    image[12:42, 50 - 2 * number : 60 - 2 * number] = (30, 30, 200)
    return image


def truth_rows(frames: int = FRAMES) -> str:
    """MOT17 rows of the two people and of one static person who does not count."""
    rows = []
    for number in range(1, frames + 1):
        rows.append(f"{number},1,{2 * number + 1},11,10,30,1,1,1")
        rows.append(f"{number},2,{51 - 2 * number},13,10,30,1,1,0.5")
        rows.append(f"{number},3,2,2,6,8,0,7,1")
    return "\n".join(rows) + "\n"


def seqinfo(name: str, **changes: object) -> str:
    """Text of a seqinfo.ini; a key that is None is left out."""
    values: dict[str, object] = {
        "name": name,
        "imDir": "img1",
        "frameRate": FPS,
        "seqLength": FRAMES,
        "imWidth": WIDTH,
        "imHeight": HEIGHT,
        "imExt": ".jpg",
    }
    values.update(changes)
    lines = [f"{key}={value}" for key, value in values.items() if value is not None]
    return "\n".join(["[Sequence]", *lines, ""])


def write_images(folder: Path, frames: int = FRAMES, pattern: str = "{:06d}.jpg") -> None:
    """Write the drawn frames as image files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, frames + 1):
        image = cv2.cvtColor(draw_frame(number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / pattern.format(number)), image, [cv2.IMWRITE_JPEG_QUALITY, 95])


def write_video(path: Path, frames: int = FRAMES, codec: str = "libx264") -> None:
    """Write the drawn frames as a video, near lossless."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "10", "g": "5"}
        for number in range(1, frames + 1):
            picture = av.VideoFrame.from_ndarray(draw_frame(number % 12 + 1), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def press_ctrl_c() -> None:
    """Do what Python does on Ctrl-C, without a signal that would reach all libraries in here."""
    handler = signal.getsignal(signal.SIGINT)
    assert callable(handler)
    handler(signal.SIGINT, None)


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command has said on stderr."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


@pytest.fixture
def make_scene(tmp_path: Path) -> MakeScene:
    """Factory: make_scene("MOT17/train/MOT17-02-SDP", video=False, **seqinfo changes) -> folder."""

    def make(
        name: str = "scene", *, frames: int = FRAMES, video: bool = False, **changes: object
    ) -> Path:
        folder = tmp_path / name
        for part in ("gt", "det"):
            (folder / part).mkdir(parents=True)
        (folder / "seqinfo.ini").write_text(seqinfo(folder.name, **changes))
        (folder / "gt" / "gt.txt").write_text(truth_rows(frames))
        detections = [f"{n},-1,{2 * n + 1},11,10,30,0.9" for n in range(1, frames + 1)]
        (folder / "det" / "det.txt").write_text("\n".join(detections) + "\n")
        if video:
            write_video(folder / "video.mp4", frames)
        else:
            write_images(folder / "img1", frames)
        return folder

    return make


@pytest.fixture
def scene(make_scene: MakeScene) -> Path:
    """Folder of the 12-frame scene with img1/."""
    return make_scene()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small untrained net, T = 3, that takes much of what it sees for people."""
    import torch  # late: most tests need none

    from nets.menu import build_net
    from nets.settings import NetSettings
    from nets.weights import save_weights

    settings = NetSettings(frames=3, width=0.125, neck_channels=8, deepest=8)
    torch.manual_seed(0)
    net = build_net(settings)
    torch.nn.init.constant_(net.heads.maps["centre"].out.bias, 2.0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    notes = {"settings": settings.to_json(), "test_px": str(64 * 64)}
    save_weights(path, net.state_dict(), notes)
    return path


@pytest.fixture
def real_data() -> Iterator[Path]:
    """Folder of real sequences, for tests marked `real`; skips where there is none."""
    root = Path(os.environ.get("FOOTFALL_DATA") or "data")
    if not root.is_dir():
        pytest.skip("no real sequences: set FOOTFALL_DATA")
    yield root
