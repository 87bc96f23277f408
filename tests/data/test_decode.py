from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
import simplejpeg

from distill.data.decode import decode, decode_any
from distill.data.faceset import DamagedImage


def test_channels_are_red_green_blue() -> None:
    red = np.zeros((112, 112, 3), np.uint8)
    red[..., 0] = 255
    as_bgr = red[..., ::-1]
    for suffix in (".jpg", ".png"):
        image = decode(cv2.imencode(suffix, as_bgr)[1].tobytes())
        assert np.abs(image.astype(int) - red).max() <= 2


def test_agrees_with_opencv(jpeg) -> None:
    encoded = jpeg(1)
    theirs = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert theirs is not None
    assert np.array_equal(decode(encoded), theirs[..., ::-1])


def test_grey_jpeg_becomes_three_channels() -> None:
    grey = np.full((112, 112, 1), 90, np.uint8)
    image = decode(simplejpeg.encode_jpeg(grey, 95, "GRAY", "gray"))
    assert image.shape == (112, 112, 3)
    assert (image == 90).all()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files_are_damage(jpeg, picture, share: float) -> None:
    png = cv2.imencode(".png", picture(1))[1].tobytes()
    for encoded in (jpeg(1), png):
        with pytest.raises(DamagedImage):
            decode_any(encoded[: int(len(encoded) * share)])


def test_corrupt_and_foreign_bytes_are_damage(jpeg, picture) -> None:
    png = bytearray(cv2.imencode(".png", picture(1))[1].tobytes())
    png[len(png) // 2] ^= 255
    for encoded in (b"", b"GIF89a...", jpeg(1)[:3] + b"\0" * 500, bytes(png)):
        with pytest.raises(DamagedImage) as caught:
            decode_any(encoded)
        assert "\n" not in str(caught.value)


def test_only_crops(jpeg) -> None:
    assert decode_any(jpeg(0, 128)).shape == (128, 128, 3)
    with pytest.raises(DamagedImage, match="is 128x128; expected an aligned 112x112 crop"):
        decode(jpeg(0, 128))


def test_a_header_that_promises_gigabytes_costs_none(jpeg, picture, monkeypatch: pytest.MonkeyPatch) -> None:
    """60,000 x 60,000 pixels are 10.8 GB; no decoder is asked for them."""
    png, small = bytearray(cv2.imencode(".png", picture(1))[1].tobytes()), bytearray(jpeg(1))
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    frame = small.find(b"\xff\xc0")
    small[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)

    def decoder(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", decoder)
    monkeypatch.setattr(cv2, "imdecode", decoder)
    for encoded in (bytes(png), bytes(small)):
        with pytest.raises(DamagedImage, match="is 60000x60000"):
            decode(encoded)
