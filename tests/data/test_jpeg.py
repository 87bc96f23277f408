"""A warning is no damage: bytes that no pixel depends on are passed over, and torn files refused."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import simplejpeg

from distill.data.decode import decode
from distill.data.faceset import DamagedImage

OPTIONS = {
    "baseline": [],
    "grey": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
    "progressive restarts": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}
BYTES = [b"\0", b"\x12\x34", b"ab\xff\0c", b"\xff\xff", bytes(40)]


def drawn(name: str, noise: int = 0) -> bytes:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (14, 14, 3), np.uint8), (112, 112), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.integers(-noise, noise + 1, image.shape), 0, 255).astype(np.uint8)
    image = image[..., 0] if name == "grey" else image
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95, *OPTIONS[name]])[1].tobytes()


@pytest.fixture(params=OPTIONS)
def whole(request: pytest.FixtureRequest) -> bytes:
    return drawn(request.param)


def markers(data: bytes) -> list[int]:
    """Where every segment after the first begins, by a walk of its own; in coded data also at restarts."""
    places, at = [], 2
    while data[at + 1] != 0xD9:
        places.append(at)
        if 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        while data[at] != 0xFF or data[at + 1] == 0:
            at += 1
    return [*places, at]


@pytest.mark.parametrize("strange", BYTES, ids=range(len(BYTES)))
def test_bytes_between_segments_and_scans_change_no_pixel(whole: bytes, strange: bytes) -> None:
    expected = simplejpeg.decode_jpeg(whole, "RGB")
    for at in markers(whole)[:40]:
        assert np.array_equal(decode(whole[:at] + strange + whole[at:]), expected), f"before byte {at}"


def test_several_of_them_change_no_pixel(whole: bytes) -> None:
    expected, damaged = simplejpeg.decode_jpeg(whole, "RGB"), whole
    for at in reversed(markers(whole)[:40]):
        damaged = damaged[:at] + b"\x01\x02\x03" + damaged[at:]
    assert np.array_equal(decode(damaged), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"after the end" * 9,
        lambda data: data[:-2],
        lambda data: data[:-1],
        lambda data: data.replace(b"JFIF\0\x01\x01", b"JFIF\0\x09\x09"),
        lambda data: data[:2] + b"\xff\xe0\0\4ab" + data[2:],
        lambda data: data[:2] + b"\xff\xe2\0\x12ICC_PROFILE\0\1\2zz" + data[2:],
        lambda data: data[:2] + b"\xff\xe1\0\x0aExif\0\0\1\2" + data[2:],
        lambda data: data[:2] + b"\xff\xfe\0\2" + data[2:],
    ],
    ids=["trailer", "no end", "half an end", "JFIF 9", "short JFIF", "half a profile", "half an EXIF", "comment"],
)
def test_what_stands_around_the_picture_changes_no_pixel(whole: bytes, change) -> None:
    assert change(whole) != whole
    assert np.array_equal(decode(change(whole)), simplejpeg.decode_jpeg(whole, "RGB"))


def test_odd_spectral_limits_of_a_baseline_scan_change_no_pixel(jpeg) -> None:
    plain = jpeg(1)
    odd = plain.replace(b"\x03\x11\x00\x3f\x00", b"\x03\x11\x00\x00\x00")
    assert odd != plain
    assert np.array_equal(decode(odd), decode(plain))


def test_torn_files_are_refused(whole: bytes) -> None:
    """Cut anywhere: in its header, in its data, and between two scans, where libjpeg has nothing to complain of."""
    for end in [*range(3, len(whole) - 3, 293), *markers(whole)[:-1]]:
        with pytest.raises(DamagedImage):
            decode(whole[:end])
        with pytest.raises(DamagedImage):
            decode(whole[:end] + b"\0" * (len(whole) - end))


@pytest.mark.parametrize("name", ["baseline", "restarts", "progressive"])
def test_data_that_lost_a_piece_are_not_taken_for_data_with_a_tail(name: str) -> None:
    """Of the files that only leave bytes over, most go out of step where a piece is missing, and are refused."""
    whole = drawn(name, noise=20)
    left_over = refused = 0
    begin = whole.index(b"\xff\xda") + 20
    for at in range(begin, len(whole) - 200, 101):
        torn = whole[:at] + whole[at + 30 :]
        try:
            simplejpeg.decode_jpeg(torn, "RGB")
        except ValueError as warning:
            if re.search("extraneous bytes before marker", str(warning)):
                left_over += 1
                try:
                    decode(torn)
                except DamagedImage:
                    refused += 1
    assert refused > 0.9 * left_over > 20


def test_a_bad_code_is_refused() -> None:
    broken = bytearray(drawn("baseline"))
    at = broken.index(b"\xff\xda") + 40
    broken[at : at + 60] = b"\xfe" * 60
    with pytest.raises(DamagedImage, match="incomplete JPEG"):
        decode(bytes(broken))
