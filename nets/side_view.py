"""The Side-View net of 2019: T frames seen from the side, (T, height) convolved, width as channels.

A person who walks is a band along time in this plane: of his height, and drawn in the channels of
the columns that he crosses. How the net takes frames of any width stands in `nets.planes`. What
else looks across the width is the stem, frame by frame, and the heads' 3×3 kernel.
"""

from nets.planes import plane_blocks
from nets.settings import NetSettings
from nets.view_net import ViewNet


class SideView(ViewNet):
    """Blocks over (T, height), columns as channels; see `nets.view_net.ViewNet`."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__(settings, plane_blocks(settings, rows_as_channels=False), light=True)
