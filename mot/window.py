"""A window on the screen that shows frames as they are followed."""

from __future__ import annotations

import os
import sys

import cv2

from mot.errors import InputError
from mot.images import Image

QUIT_KEYS = (ord("q"), 27)  # 27 = escape


class Window:
    """Shows RGB frames until its reader quits; a context manager.

    Args:
        title: of the window.

    Raises:
        InputError: no screen, or an OpenCV without windows.
    """

    def __init__(self, title: str) -> None:
        # Qt ends the process where there is no screen: ask before.
        screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not screen:
            raise InputError("--show", "a screen", "none ($DISPLAY is not set)", "use --video")
        self._title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            remedy = "pip install opencv-python in the place of opencv-python-headless"
            raise InputError("--show", "an OpenCV with windows", "one without", remedy) from error

    def show(self, rgb: Image) -> bool:
        """Show a frame (H, W, 3); False when q, escape or the window's cross was pressed."""
        cv2.imshow(self._title, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF
        open_still = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        return pressed not in QUIT_KEYS and open_still

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(self._title)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
