"""The menu of nets over clips. A new net is one class in a file of its own and one line in `MENU`.

`NetSettings.net` names one of them; all return the same maps (`nets.clip_net.ClipNet`).
"""

from collections.abc import Callable

from mot.errors import InputError
from nets.clip_net import ClipNet
from nets.frame_stack import FrameStack
from nets.settings import NetSettings
from nets.side_view import SideView
from nets.top_view import TopView
from nets.triplane import TriPlane

MENU: dict[str, Callable[[NetSettings], ClipNet]] = {
    "frame_stack": FrameStack,
    "side": SideView,
    "top": TopView,
    "triplane": TriPlane,
}


def build_net(settings: NetSettings) -> ClipNet:
    """Build the net that the settings describe, with random weights.

    Raises:
        InputError: the net is not on the menu.
    """
    if settings.net not in MENU:
        raise InputError("--net", f"one of {', '.join(MENU)}", settings.net, "choose another net")
    return MENU[settings.net](settings)
