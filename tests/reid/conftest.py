"""What the tests of the embedder share: people drawn as two blocks of colour, and a tiny run."""

import cv2
import numpy as np

from reid.crops import crop_name

SIZE = (32, 16)
TINY = ["--width", "0.125", "--channels", "16", "--size", "32", "16", "--device", "cpu"]
TINY += ["--people", "4", "--crops", "2", "--workers", "0", "--amp", "off", "--log-every", "5"]


def write_people(folder, people, cameras=2, shots=3):
    """Everybody wears two colours of their own; noise tells the shots apart."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(1, people + 1):
        rng = np.random.default_rng(person)
        shirt, trousers = rng.integers(30, 225, (2, 3))
        for camera in range(1, cameras + 1):
            for shot in range(shots):
                image = np.zeros((*SIZE, 3))
                image[:16], image[16:] = shirt, trousers
                image += rng.normal(0, 8, image.shape)
                name = crop_name(person, camera, shot)
                cv2.imwrite(str(folder / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
    return folder


def run(command, *arguments):
    try:
        command.main(list(map(str, arguments)))
    except SystemExit as stop:
        return stop.code
    return None
