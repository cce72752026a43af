"""Changes of a clip's light, colours and angle that --colour does not make; each off by default.

All are drawn once per clip, and only where they are asked for, so that other trainings see the
batches that they saw before.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from nets.augment import OUTSIDE_VALUE, AugmentSettings
from nets.people import BoxTable, People

Image = npt.NDArray[np.uint8]
CLIP_LIMIT, TILES = 2.0, (4, 4)  # of the equalisation: contrast limit, tiles down and across
STRETCH_PERCENT = (1.0, 99.0)  # grey values that become black and white


def jitter(
    clip: Image, people: tuple[People, ...], settings: AugmentSettings, rng: np.random.Generator
) -> Image:
    """Apply what the settings ask for, each with its own share or strength.

    Args:
        clip: (T, H, W, 3) uint8 RGB.
        people: whom each frame shows, in its pixels.
        settings: shares and strengths.
        rng: source of chance.
    """
    if settings.hue_share > 0 and rng.random() < settings.hue_share:
        clip = rehue_people(clip, people, rng)
    if settings.pca > 0:
        clip = pca_colour(clip, rng.normal(0, settings.pca, 3))
    if settings.equalise_share > 0 and rng.random() < settings.equalise_share:
        clip = equalise(clip)
    if settings.stretch_share > 0 and rng.random() < settings.stretch_share:
        clip = stretch(clip)
    return clip


def equalise(clip: Image) -> Image:
    """Equalise the lightness of each frame tile by tile, contrast limited (CLAHE).

    K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.
    """
    method = cv2.createCLAHE(CLIP_LIMIT, TILES)
    done = []
    for frame in clip:
        lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB)
        lab[:, :, 0] = method.apply(np.ascontiguousarray(lab[:, :, 0]))
        done.append(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    return np.stack(done)


def stretch(clip: Image) -> Image:
    """Spread the grey values between two percentiles of the clip over 0..255."""
    low, high = np.percentile(clip, STRETCH_PERCENT)
    gain = 255 / max(high - low, 1.0)
    table: Image = np.clip((np.arange(256) - low) * gain, 0, 255).round().astype(np.uint8)
    spread: Image = cv2.LUT(clip.reshape(-1, clip.shape[2], 3), table)
    return spread.reshape(clip.shape)


def pca_colour(clip: Image, alpha: npt.NDArray[np.float64]) -> Image:
    """Shift the colours along the principal axes of the clip's own.

    Adds Σ αᵢ·λᵢ·pᵢ, pᵢ the eigenvectors of the covariance of RGB and λᵢ its eigenvalues
    (Krizhevsky et al., NIPS 2012, section 4.1, there over the whole training set); RGB in 0..1.

    Args:
        clip: (T, H, W, 3).
        alpha: (3,), strength per axis, for the eigenvalues in rising order.
    """
    colours = clip[:, ::4, ::4].reshape(-1, 3) / 255
    values, axes = np.linalg.eigh(np.cov(colours, rowvar=False))
    shift = 255 * (axes @ (alpha * values))
    moved: Image = np.clip(np.rint(clip + shift), 0, 255).astype(np.uint8)
    return moved


def rehue_people(clip: Image, people: tuple[People, ...], rng: np.random.Generator) -> Image:
    """Turn the hue inside each person's box, by one angle per person through the whole clip."""
    angles: dict[float, int] = {}
    done = clip.copy()
    for frame, shown in zip(done, people, strict=True):
        for box, identity in zip(shown.ltwh, shown.ids, strict=True):
            # Who is known by no identity gets an angle of its own in each frame.
            fresh = int(rng.integers(180))
            angle = fresh if identity < 0 else angles.setdefault(float(identity), fresh)
            left, top = np.maximum(np.rint(box[:2]), 0).astype(int)
            right, bottom = np.maximum(np.rint(box[:2] + box[2:]), 0).astype(int)
            part = frame[top:bottom, left:right]
            if part.size:
                hsv = cv2.cvtColor(part, cv2.COLOR_RGB2HSV)
                hsv[:, :, 0] = (hsv[:, :, 0].astype(int) + angle) % 180
                frame[top:bottom, left:right] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return done


def turn(
    clip: Image, people: tuple[People, ...], degrees: float
) -> tuple[Image, tuple[People, ...]]:
    """Turn a clip and its people anticlockwise about the middle; what comes in is grey.

    A box keeps its size and goes where its centre goes: for a few degrees its person stays in it.

    Args:
        clip: (T, H, W, 3).
        people: whom each frame shows; those whose centre leaves the frame still stand there.
        degrees: angle.
    """
    height, width = clip.shape[1:3]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1.0)
    grey = (OUTSIDE_VALUE,) * 3
    turned = [cv2.warpAffine(f, matrix, (width, height), borderValue=grey) for f in clip]
    angle = math.radians(degrees)
    spin = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = np.array([width / 2, height / 2])

    def moved(ltwh: BoxTable) -> BoxTable:
        half = ltwh[:, 2:] / 2
        centre = (ltwh[:, :2] + half - middle) @ spin.T + middle
        return np.concatenate([centre - half, ltwh[:, 2:]], axis=1).astype(np.float32)

    shown = tuple(
        replace(p, ltwh=moved(p.ltwh), hidden=moved(p.hidden), ignored=moved(p.ignored))
        for p in people
    )
    return np.stack(turned), shown
