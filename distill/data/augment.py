"""Augmentation of crops, reproducible bit for bit.

An augmentation is a pure function of the image and of one vector of uniform numbers, in which every operation has its
own fixed positions: switching one on or off changes no draw of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg

from distill.errors import UserError
from distill.types import CROP_PX

# uniform numbers of all operations together. A new operation takes new ones at the end: stored teacher outputs were
# computed from views with these positions
_DRAWS = 25
_GREY = 127


def augmentation_rng(seed: int, index: int, visit: int) -> np.random.Generator:
    """The random numbers of one image on one visit.

    Philox is a counter: its streams for different (seed, visit, index) cannot meet, and it starts in about 10 us.
    """
    # the index is the highest of four 64-bit words of the counter: streams of two images are 2^192 blocks apart
    return np.random.Generator(np.random.Philox(key=[seed, visit], counter=[0, 0, 0, index]))


@dataclass(frozen=True)
class Augmentation:
    """Probabilities of the operations and their greatest strengths, in the order in which they are applied.

    Only mirror and shift are on: for networks of this size published ablations find that stronger augmentation
    costs accuracy (MobileFaceNet on MS1MV3, IJB-C at 1e-4: 92.8, with colour jitter 92.0, with cutout 81.0).
    """

    mirror: float = 0.5
    shift_px: int = 2  # each way, horizontally and vertically, always drawn; the border is repeated
    scale: float = 0.0  # greatest relative change of size, always drawn
    colour: float = 0.0
    brightness: float = 0.2  # of the full range, added
    contrast: float = 0.2  # relative, about mid-grey
    saturation: float = 0.2  # relative
    gray: float = 0.0
    blur: float = 0.0
    blur_sigma_px: float = 1.5
    cover: float = 0.0  # by what is there upside down
    cover_max_share: float = 0.6  # of the image's area
    low_resolution: float = 0.0  # shrunk and enlarged again
    low_resolution_min_px: int = 28
    jpeg: float = 0.0
    jpeg_min_quality: int = 30
    erase: float = 0.0
    erase_max_share: float = 0.2  # of the image's area

    def __post_init__(self) -> None:
        often = ("mirror", "colour", "gray", "blur", "low_resolution", "jpeg", "erase", "cover")
        shares = (*often, "erase_max_share", "cover_max_share")
        strengths = ("scale", "brightness", "contrast", "saturation")
        ranges = {
            **{name: (0.0, 1.0) for name in shares},
            **{name: (0.0, 0.9) for name in strengths},
            "shift_px": (0, CROP_PX // 2),
            "blur_sigma_px": (0.1, 20.0),
            "low_resolution_min_px": (4, CROP_PX),
            "jpeg_min_quality": (1, 100),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"data.augment.{name} is {getattr(self, name)}; expected {low} to {high}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """RGB uint8 [112 112 3] to the same; the given image is not changed."""
        draws = rng.random(_DRAWS).tolist()
        if draws[0] < self.mirror:
            image = cv2.flip(image, 1)
        image = self._placed(image, draws[1:4])
        if draws[4] < self.colour:
            image = self._coloured(image, draws[5:8])
        if draws[8] < self.gray:
            image = _grey(image)
        if draws[9] < self.blur:
            sigma_px = 0.1 + draws[10] * (self.blur_sigma_px - 0.1)
            image = cv2.GaussianBlur(image, (0, 0), sigma_px)
        return self._degraded(image, draws[11:])

    def mirrors(self, rng: np.random.Generator) -> bool:
        """Whether a call with a generator in this state mirrors the image: the first draw."""
        return bool(rng.random() < self.mirror)

    def _degraded(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        """Covering, low resolution, JPEG and erasing, in this order."""
        if draws[9] < self.cover:
            image = self._covered(image, draws[10:14])
        if draws[0] < self.low_resolution:
            side_px = self.low_resolution_min_px + int(draws[1] * (CROP_PX - self.low_resolution_min_px))
            small = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
        if draws[2] < self.jpeg:
            quality = self.jpeg_min_quality + int(draws[3] * (101 - self.jpeg_min_quality))
            # a shifted crop is a strided view
            encoded = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")
            image = simplejpeg.decode_jpeg(encoded, "RGB")
        if draws[4] < self.erase:
            image = self._erased(image, draws[5:9])
        return image

    def _placed(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        """Shift by whole pixels (7 us), or shift and scale about the centre with interpolation (90 us)."""
        reach = self.shift_px
        if self.scale:
            x, y, larger = (2 * d - 1 for d in draws)
            zoom, centre = 1 + larger * self.scale, (CROP_PX - 1) / 2
            # keeps the centre of the crop in place, then shifts
            matrix = np.array([[zoom, 0, centre * (1 - zoom) + x * reach], [0, zoom, centre * (1 - zoom) + y * reach]])
            return cv2.warpAffine(image, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
        if not reach:
            return image
        # d < 1: each of 0 to 2 * reach is equally likely
        left, top = (int(d * (2 * reach + 1)) for d in draws[:2])
        wide = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
        return wide[top : top + CROP_PX, left : left + CROP_PX]

    def _coloured(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        lift, contrast, saturation = (
            (2 * d - 1) * most for d, most in zip(draws, (self.brightness, self.contrast, self.saturation), strict=True)
        )
        # a table of 256 levels: every pixel value is mapped once instead of every pixel
        levels = (np.arange(256) - 127.5) * (1 + contrast) + 127.5 + 255 * lift
        image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
        # grey + (1 + saturation) * (image - grey)
        return cv2.addWeighted(image, 1 + saturation, _grey(image), -saturation, 0)

    def _erased(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        """A grey rectangle."""
        where = _rectangle(self.erase_max_share, draws)
        image = image.copy()
        image[where] = _GREY
        return image

    def _covered(self, image: np.ndarray, draws: Sequence[float]) -> np.ndarray:
        """A rectangle of the upside-down image: with texture like a face's, and no face."""
        where = _rectangle(self.cover_max_share, draws)
        covered = image.copy()
        covered[where] = image[::-1][where]
        return covered


def _rectangle(max_share: float, draws: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a part of the crop, sides at most 2 : 1, inside the crop."""
    area = draws[0] * max_share * CROP_PX**2
    # 1/2 to 2, uniform in the logarithm
    aspect = 2 ** (2 * draws[1] - 1)
    width, height = (min(CROP_PX, round((area * a) ** 0.5)) for a in (aspect, 1 / aspect))
    left, top = int(draws[2] * (CROP_PX - width + 1)), int(draws[3] * (CROP_PX - height + 1))
    return slice(top, top + height), slice(left, left + width)


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
