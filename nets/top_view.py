"""The Top-View net of 2019: T frames seen from above, (T, width) convolved, height as channels.

A person who walks is a slanted line in this plane, as in an x–t slice, drawn in the channels of
the rows that he covers. How the net takes frames of any height stands in `nets.planes`. What else
looks across the height is the stem, frame by frame, and the heads' 3×3 kernel.
"""

from nets.planes import plane_blocks
from nets.settings import NetSettings
from nets.view_net import ViewNet


class TopView(ViewNet):
    """Blocks over (T, width), rows as channels; see `nets.view_net.ViewNet`."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__(settings, plane_blocks(settings, rows_as_channels=True), light=True)
