from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg

from distill.data.decode import decode, decode_any
from distill.data.faceset import DamagedImage
from reference.pictures import (
    STORED,
    containers,
    exif,
    jpeg_turned,
    png_chunk,
    png_turned,
    saved,
    tiff,
    webp_turned,
)

CONTAINERS = list(containers(np.zeros((16, 16, 3), np.uint8)))


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


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_picture_has_the_same_pixels_in_every_container(picture, name: str) -> None:
    assert np.array_equal(decode(containers(picture(1))[name]), picture(1))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("turned", [jpeg_turned, png_turned, webp_turned, tiff], ids=["jpeg", "png", "webp", "tiff"])
def test_a_picture_is_turned_upright_as_its_exif_says(picture, turned, orientation: int) -> None:
    image = np.ascontiguousarray(picture(1, 112)[:, :104])  # of two different sides
    found = decode_any(turned(image, orientation))
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).mean() < 3


@pytest.mark.parametrize("orientation", STORED)
def test_a_tiff_of_16_bits_is_turned_too(picture, orientation: int) -> None:
    assert np.array_equal(decode(tiff(picture(1).astype(np.uint16) * 257, orientation)), picture(1))


@pytest.mark.parametrize("strange", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0" + exif(9)])
def test_exif_that_cannot_be_read_turns_nothing(jpeg, strange: bytes) -> None:
    plain = jpeg(1)
    block = b"\xff\xe1" + struct.pack(">H", len(strange) + 2) + strange
    assert np.array_equal(decode(plain[:2] + block + plain[2:]), decode(plain))


def test_of_16_bits_the_upper_8_count_in_every_container(picture) -> None:
    wide = picture(1).astype(np.uint16) * 256 + 255
    for found in (saved(wide, ".png"), saved(wide, ".tif"), tiff(wide)):
        assert np.array_equal(decode(found), picture(1))


def test_grey_and_palettes_become_three_channels(picture) -> None:
    grey = picture(1)[..., 0]
    for suffix in (".png", ".bmp", ".tif", ".webp"):
        image = decode(saved(grey, suffix, *((cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ())))
        assert np.array_equal(image, np.dstack([grey] * 3))
    rows = b"".join(b"\0" + bytes([row % 2] * 112) for row in range(112))
    header = struct.pack(">IIBBBBB", 112, 112, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", b"\xff\0\0\0\0\xff"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    image = decode(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    assert image[0, 0].tolist() == [255, 0, 0]
    assert image[1, 0].tolist() == [0, 0, 255]


def test_inks_become_light(picture) -> None:
    """CMYK as Adobe writes it, inverted: OpenCV reads the same."""
    inks = np.dstack([picture(1), 255 - picture(2)[..., :1] // 2])
    cmyk = simplejpeg.encode_jpeg(np.ascontiguousarray(inks), 95, "CMYK", "444")
    theirs = cv2.imdecode(np.frombuffer(cmyk, np.uint8), cv2.IMREAD_COLOR)
    assert theirs is not None
    assert np.abs(decode(cmyk).astype(int) - theirs[..., ::-1]).max() <= 2


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_that_ends_anywhere_early_is_damage(picture, name: str) -> None:
    whole = containers(picture(1))[name]
    for end in {*np.linspace(0, len(whole) - 1, 40).astype(int).tolist(), *range(len(whole) - 9, len(whole))}:
        with pytest.raises(DamagedImage) as caught:
            decode(whole[:end])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["png", "webp", "tiff by LZW", "tiff by deflate", "tiff by PackBits"])
def test_a_file_whose_middle_was_never_written_is_damage(picture, name: str) -> None:
    whole = containers(picture(1))[name]
    with pytest.raises(DamagedImage):
        decode(whole[: len(whole) // 3] + bytes(len(whole) // 3) + whole[2 * (len(whole) // 3) :])


@pytest.mark.parametrize(
    ("begin", "told"),
    [
        (b"GIF89a" + bytes(20), "is a GIF picture; expected JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "is a HEIC or AVIF picture"),
        (b"\0\0\0\x18ftypavif" + bytes(20), "is a HEIC or AVIF picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer and not the file itself"),
        (b"<!doctype html>", "is an HTML page"),
        (b"\x01\x02\x03\x04\xfe", r"is none of JPEG, PNG, WebP, BMP or TIFF \(5 bytes, beginning 01020304\)"),
    ],
)
def test_what_is_not_read_is_named(begin: bytes, told: str) -> None:
    with pytest.raises(DamagedImage, match=told):
        decode_any(begin)


def test_animations_floats_and_odd_jpegs_are_named(picture, jpeg) -> None:
    animated = saved(picture(1), ".png")
    animated = animated[:33] + png_chunk(b"acTL", struct.pack(">II", 2, 0)) + animated[33:]
    webp = bytearray(webp_turned(picture(1), 1))
    webp[20] |= 2
    twelve = bytearray(jpeg(1))
    twelve[twelve.find(b"\xff\xc0") + 4] = 12
    floats = cv2.imencode(".tif", picture(1).astype(np.float32))[1].tobytes()
    for strange, told in (
        (animated, "is an animated PNG"),
        (bytes(webp), "is an animated WebP"),
        (bytes(twelve), "is a JPEG of 12 bits; expected"),
        (floats, "is a TIFF of floating-point numbers of 32 bits"),
        (tiff(picture(1), extra={259: 4}), "is a TIFF of compression 4; expected none, LZW"),
    ):
        with pytest.raises(DamagedImage, match=told):
            decode(strange)


@pytest.mark.parametrize("name", ["png", "webp", "bmp", "tiff"])
def test_the_size_is_read_from_the_header(picture, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    large = np.zeros((128, 128, 3), np.uint8)
    with pytest.raises(DamagedImage, match="is 128x128; expected an aligned 112x112 crop"):
        decode(containers(large)[name])
    monkeypatch.setattr("distill.data.decode.MOST_PIXELS", 128 * 127)
    with pytest.raises(DamagedImage, match="is 128x128; expected at most"):
        decode_any(containers(large)[name])
