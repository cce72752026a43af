"""Every command of README.md and docs/ is run, in the order of its page, on data of its own.

The pages name real data and long trainings. Here DIR and the rest are tiny scenes, and flags that
decide how long a command takes are made small (`SMALL`); what a command reads is as the page says.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mot.scene_settings import SceneSettings
from mot.synthetic import settings_hash, write_scene
from tests.conftest import draw_frame, seqinfo, truth_rows, write_images, write_video
from tests.nets.test_teachers import saved_graph, ssd_rows

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INLINE = re.compile(r"`(python -m benchmarks\.[^`…]+)`")
COMMAND = re.compile(r"(python|footfall|torchrun|make|pip) |[A-Z]+=")

SEQUENCES = (
    *("MOT17-02", "MOT17-02-SDP", "MOT17-04-SDP", "MOT17-09", "MOT17-09-SDP", "PETS09-S2L1"),
    *("PETS09-S3-MF1", "TUD-Stadtmitte", "KITTI-17", "KITTI-T0002", "KITTI-T0012", "KITTI-T0014"),
    *("KITTI-T0015", "PRW-C6S1"),
)

VIDEOS = ("crossing-360p", "path-480p", "promenade-360p", "street-above-1080p", "underpass-288p")
TEACHERS = ("person-detection-retail-0013", "person-detection-0201", "nanodet-plus-m_416")

TRAINING = {
    **{"--max-steps": "2", "--batch": "2", "--workers": "0", "--log-every": "1", "--amp": "off"},
    **{"--warmup-steps": "1", "--device": "cpu", "--checkpoint-minutes": "9"},
}
PREDICTING = {"--test-px": "4096", "--backend": "torch", "--amp": "off", "--device": "cpu"}
# Command → flags that it gets, in the place of its own where it has them; None takes a flag away.
SMALL: dict[str, dict[str, str | None]] = {
    "train": TRAINING | {"--crop": "32 64", "--scenes": "1", "--cache": "cache"},
    "nets.pretrain": TRAINING
    | {"--crop-px": "32", "--scenes": "1", "--cache": "cache", "--held-out": "4"},
    "reid.train": TRAINING | {"--people": "2", "--crops": "2", "--size": "32 16"},
    "nets.pose": TRAINING | {"--scenes": "1", "--cache": "cache", "--width": "0.25"},
    "nets.pose_eval": {"--scenes": "1", "--cache": "cache", "--device": "cpu"},
    "mot.keypoint_table": {"--scenes": "1", "--frames": "2"},
    "eval": PREDICTING,
    "track": PREDICTING | {"--embedder": "none"},
    "nets.calibrate": PREDICTING | {"--min-score": "0"},
    # In fp32: tests/nets/test_export.py quantises.
    "nets.export": {"--weights": "tiny.safetensors", "--precision": "fp32"},
    "reid.extract": {
        **{"--min-height": "20", "--min-visibility": "0", "--min-crops": "2", "--size": "32 16"},
        **{"--pause-s": "0", "--test-share": "0"},
    },
    "reid.tune": {"--trials": "2"},
    "nets.sweep": {
        "--set": "max_steps=2 batch=2 log_every=1 crop=32+64 width=0.125 scenes=1 cache=cache/c",
        **{"--seeds": "1", "--workers": "1", "--at-most": "1"},
    },
    "mot.view": {"--frames": "5:9"},
    "mot.statistics": {"--seqs": "MOT17-02 MOT17-09"},
    "benchmarks.association": {"--people": "5", "--growth": "5", "--frames": "4", "--repeats": "1"},
    "benchmarks.linker": {"--people": "5", "--frames": "4"},
    "benchmarks.inference": {"--size": "32 64", "--repeats": "1"},
    "benchmarks.tracked": {
        **{"--seeds": "1 2", "--steps": "2", "--workers": "1", "--variants": "apart"},
        **{"--scenes": "2", "--data": "DIR"},
    },
    "benchmarks.test_time": {"--looks": "plain flip", "--workers": "1", "--scenes": "2"},
    "nets.ensemble": PREDICTING | {"--windows": "1"},
    "benchmarks.views": {"--seeds": "1", "--steps": "2", "--workers": "1", "--nets": "side"},
    "benchmarks.memory": {"--frames": "1100", "--people": "2"},
}
IMAGENET = "resnet18-imagenet-stem-layer3.safetensors"  # in the place of a download
SKIPPED = {
    "make demo": "trains for two minutes",
    "make test": "is what runs this",
    "make track": "installs",
    "pip ": "installs packages",
    "track.py rtsp:": "there is no camera",
    "mot.download": "downloads",
    "recipes/tracked-occluded-real": "downloads image weights",
    "recipes/tracked-real": "downloads image weights",
    "benchmarks.unseen": "tests/test_unseen.py does",
    "benchmarks.counts": "tests/test_counts.py does",
    "python -m benchmarks.labelmaps": "has one size",
    "python -m benchmarks.cache": "has one size",
}


def commands(page: Path) -> list[str]:
    """Commands of a page's blocks, comments taken away, variables written out before them."""
    lines, language = [], None
    for line in page.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            language = line[3:] if language is None else None
        elif language in ("", "sh", "bash"):
            lines.append(re.sub(r"(^|\s)#.*", "", line).strip())
    found, variables = [], ""
    for line in filter(COMMAND.match, lines):
        if "=" in line.split(maxsplit=1)[0]:
            variables += f"{line}; "
        else:
            found.append(variables + line)
    return found


def is_skipped(command: str) -> bool:
    return any(words in command for words in SKIPPED)


def expanded(command: str) -> list[str]:
    """The words of a command as a shell gives them to it."""
    *variables, words = command.split("; ")
    script = "; ".join([*variables, f"printf '%s\\0' {words}"])
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return printed.stdout.split("\0")[:-1]


def shrunk(name: str, arguments: list[str]) -> list[str]:
    """The arguments with those flags of SMALL in the place of their own."""
    small = dict(SMALL.get(name, {}))
    if "imagenet" in arguments or (
        "--weights" not in arguments and any("recipes/footfall-" in word for word in arguments)
    ):
        small["--weights"] = IMAGENET
    if any("recipes/footfall-" in word for word in arguments):
        small |= {"--weights": IMAGENET, "--backbone": "resnet18"}  # it has one file
    if any("recipes/halves" in word for word in arguments):  # goes on from one of those
        small |= {"--backbone": "resnet18"}
    for suffix, backend in ((".onnx", "onnx"), (".xml", "openvino")):
        if "--backend" in small and any(word.endswith(suffix) for word in arguments):
            small["--backend"] = backend
    if "synthetic" in arguments:
        small["--scenes"] = "2"
    kept, drop = [], False
    for word in arguments:
        if word.startswith("--"):
            drop = word in small or word in ("--sgd-from", "--unfreeze-step")
        if not drop:
            kept.append(word)
    added = [word for flag, value in small.items() if value for word in (flag, *value.split())]
    return [*kept, *added]


def made(command: str) -> list[str]:
    """The commands that a make command would run here, in their order."""
    words = [*expanded(command), "--dry-run", "--no-print-directory"]  # make may run these tests
    printed = subprocess.run(words, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    return printed.stdout.splitlines()


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in this process; fails where it ends with an error."""
    words = expanded(command)
    if words[0] == "make":
        for line in made(command):
            if line.split()[0].endswith("python"):
                run(line, monkeypatch)
            else:
                subprocess.run(line, shell=True, check=True)
        return
    if words[0] == "footfall":
        name, arguments = "footfall", words[1:]
    elif words[1] == "-m":
        name, arguments = words[2], words[3:]
    else:
        name, arguments = words[1].removesuffix(".py"), words[2:]
    monkeypatch.setattr(sys, "argv", [name, *shrunk(name, arguments)])
    try:
        importlib.import_module(name).main()
    except SystemExit as stop:
        assert not stop.code, f"{command}: exit {stop.code}"


def small_sequence(folder: Path) -> None:
    (folder / "gt").mkdir(parents=True)
    (folder / "det").mkdir()
    (folder / "seqinfo.ini").write_text(seqinfo(folder.name))
    (folder / "gt" / "gt.txt").write_text(truth_rows())
    detections = [f"{n},-1,{2 * n + 1},11,10,30,0.9" for n in range(1, 13)]
    (folder / "det" / "det.txt").write_text("\n".join(detections) + "\n")
    write_images(folder / "img1")


def people(folder: Path) -> None:
    """Crops of four people named as in Market-1501, from two cameras each."""
    rng = np.random.default_rng(0)
    for side, first in (("bounding_box_train", 1), ("bounding_box_test", 5)):
        (folder / side).mkdir(parents=True)
        for person in range(first, first + 4):
            colour = rng.integers(0, 256, 3)
            for camera in (1, 2):
                for shot in range(1, 4):
                    noise = rng.integers(-20, 20, (32, 16, 3))
                    name = f"{person:04d}_c{camera}s1_{shot:06d}_00.jpg"
                    image = np.clip(colour + noise, 0, 255).astype(np.uint8)
                    cv2.imwrite(str(folder / side / name), image)


def photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    outline = np.zeros((120, 160), np.uint8)
    outline[20:90, 60:84] = 1
    outline[60:90, 66:78] = 0
    photo = cv2.resize(draw_frame(3), outline.shape[::-1])
    photo[outline > 0] = (10, 60, 200)
    cv2.imwrite(str(folder / "one.jpg"), photo)
    cv2.imwrite(str(folder / "one_mask.png"), outline)
    (folder / "boxes.csv").write_text("image,x,y,w,h\none.jpg,60,20,24,70\n")


def image_weights(path: Path) -> None:
    """A random ResNet-18 up to layer3, its normalisations folded, with torchvision's names."""
    from nets.backbones import build_backbone
    from nets.weights import save_weights

    trunk = build_backbone("resnet18", norm="none", deepest=16)
    state = {
        name.split(".", 2)[2]: value
        for name, value in trunk.state_dict().items()
        if name.startswith("stages.")
    }
    save_weights(path, state, {"kind": "image"})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """What the pages take for granted."""
    world = tmp_path_factory.mktemp("world")
    for name in SEQUENCES:
        small_sequence(world / "DIR" / name)
    rendered = world / "DIR" / f"synthetic-{settings_hash(SceneSettings())}"
    for split, count in (("test", 8), ("val", 4), ("train", 160)):
        for number in range(1, count + 1):
            name = f"synthetic-{split}-{number:04d}"
            shutil.copytree(world / "DIR" / "MOT17-02", rendered / split / name)
    for name in ("MOT17/MOT17-05-SDP", "square"):
        shutil.copytree(world / "DIR" / "MOT17-02", world / "DIR" / name)
    for name in ("street", "videos/north", "videos/south", *(f"VIDEOS/{v}" for v in VIDEOS)):
        write_video(world / f"{name}.mp4", 20)
    shutil.copy(world / "street.mp4", world / "VIDEO")
    for name in TEACHERS:
        (world / "DETECTORS").mkdir(exist_ok=True)
        saved_graph(
            world / "DETECTORS" / f"{name}.xml", ssd_rows((0.9, 0.2, 0.2, 0.4, 0.9)), (32, 32)
        )
    for name in ("penn-fudan", "openimages"):
        photos(world / "DIR" / "stills" / name)
    people(world / "market")
    labels = world / "labels-of-ultralytics"
    labels.mkdir()
    for number in range(1, 4):
        (labels / f"street_{number}.txt").write_text("0 0.5 0.5 0.2 0.4 0.9 1\n")
    walkers = SceneSettings(frames=3, width=160, height=120, people=4, min_height=40, max_height=70)
    write_scene(walkers, world / "walkers")
    image_weights(world / IMAGENET)
    shutil.copy(tiny_weights, world / "tiny.safetensors")
    (world / "data").symlink_to(world / "DIR")
    (world / "recipes").symlink_to(ROOT / "recipes")
    return world


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That world as the current folder; what commands write stays apart from other pages'."""
    for thing in world.iterdir():
        (tmp_path / thing.name).symlink_to(thing)
    shutil.copytree(ROOT / "weights", tmp_path / "weights")
    for run_name in ("seed-0", "seed-1", "rate-0.001"):
        (tmp_path / "runs" / run_name).mkdir(parents=True)
        log = "step,loss,grad_norm,lr\n1,2.5,3,0.001\n2,2.0,2,0.001\n"
        (tmp_path / "runs" / run_name / "log.csv").write_text(log)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FOOTFALL_DATA", raising=False)
    monkeypatch.setattr("nets.calibrate.LEAST_DETECTIONS", 20)  # a tiny world has few
    monkeypatch.setattr("benchmarks.views.SCENES", {"train": 2, "val": 2})  # 640 take a minute


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_they_say(page, here, monkeypatch, capsys):
    for command in commands(page):
        if not is_skipped(command):
            run(command, monkeypatch)


def test_the_notebook_lines_of_the_first_page_run(here):
    [lines] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    names: dict[str, object] = {}
    exec(lines, names)
    assert {"run", "scores", "net"} <= set(names)


BENCHMARKS = sorted({found for page in PAGES for found in INLINE.findall(page.read_text())})


@pytest.mark.slow
@pytest.mark.parametrize("command", BENCHMARKS)
def test_the_benchmarks_of_the_pages_run(command, here, monkeypatch, capsys):
    if is_skipped(command):
        pytest.skip("it has one size, which takes a minute")
    run(command, monkeypatch)


def test_the_reader_of_pages_joins_lines_and_drops_comments(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```\npython a.py --x 1 \\\n    --y 'b c'   # why\n# no\n```\n```python\nx\n```\n"
    )
    assert [shlex.split(line) for line in commands(page)] == [
        ["python", "a.py", "--x", "1", "--y", "b c"]
    ]
