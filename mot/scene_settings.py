"""The difficulty knobs of a rendered scene."""

from dataclasses import dataclass

from mot.errors import InputError

FOG_COLOUR = (205.0, 208.0, 212.0)


@dataclass(frozen=True)
class SceneSettings:
    """How hard a rendered scene is; the same settings give the same bytes.

    Raises:
        InputError: a value outside its range.
    """

    seed: int = 0
    """Chooses everything that is random: paths, looks, background, light, noise."""
    frames: int = 60
    """Length in frames."""
    width: int = 448
    """Width in pixels."""
    height: int = 256
    """Height in pixels."""
    fps: float = 15.0
    """Frames per second; speeds are per second, so a lower rate means longer steps."""
    people: float = 20.0
    """People in view at once, on average; 0 = a scene without people."""
    min_height: float = 28.0
    """Height in pixels of an average person at the far end of the ground."""
    max_height: float = 90.0
    """Height in pixels of an average person at the near end of the ground."""
    camera_height: float = 2.0
    """Height of the camera in body heights (varied by ±25 % per scene); low = more occlusion."""
    speed: float = 0.75
    """Mean walking speed in body heights per second; 0.75 is an unhurried walk."""
    speed_spread: float = 0.25
    """Standard deviation of the speed between people, as a share of it."""
    crossings: float = 0.5
    """Share of the people who walk against another one in about the same lane."""
    pairs: float = 0.3
    """Share of the people who walk side by side with another one."""
    stops: float = 0.2
    """Share of the people who stand still for 0.7 to 2.5 s somewhere on their way."""
    occluders: int = 2
    """Poles, benches, kiosks and the like that hide people who pass behind them."""
    clutter: int = 8
    """Things that look a bit like people: shrubs, flowers, signs, bins, stands."""
    shadows: float = 0.4
    """Darkness of the people's shadows, 0 = none, 1 = black."""
    lighting: float = 0.6
    """How much brightness, contrast and tint vary between scenes, 0..1."""
    flicker: float = 0.01
    """Change of brightness from frame to frame, as a share (standard deviation)."""
    noise: float = 3.0
    """Standard deviation of the sensor noise in grey levels of 0..255."""
    fog: float = 0.0
    """Share of fog before what is farthest, 0..1; less before what is nearer."""
    rain: float = 0.0
    """Density of rain, 0..1."""
    blur_px: float = 0.0
    """Standard deviation of the lens blur in pixels."""
    pan_px_s: float = 0.0
    """Sideways movement of the picture in pixels per second, either sign."""
    jitter_px: float = 0.0
    """Standard deviation of the camera's shake in pixels, in both directions."""

    def __post_init__(self) -> None:
        limits = {
            "seed": (0, 2**63), "frames": (1, 10**6), "width": (32, 8192), "height": (32, 8192),
            "fps": (0.1, 1000), "people": (0, 1000), "min_height": (4, 4096),
            "max_height": (self.min_height, 4096), "camera_height": (0.1, 100), "speed": (0, 10),
            "speed_spread": (0, 1), "crossings": (0, 1), "pairs": (0, 1), "stops": (0, 1),
            "occluders": (0, 1000), "clutter": (0, 1000), "shadows": (0, 1), "lighting": (0, 1),
            "flicker": (0, 1), "noise": (0, 100), "fog": (0, 1), "rain": (0, 1),
            "blur_px": (0, 20), "pan_px_s": (-1000, 1000), "jitter_px": (0, 50),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            # Written so that NaN fails too.
            if not low <= value <= high:
                raise InputError(
                    f"scene setting {name}", f"{low:g} to {high:g}", value, "choose a value inside"
                )
