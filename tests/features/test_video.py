"""Frames of folders and of real video files, and files that are none."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from distill.data.faceset import DamagedImage
from distill.features.video import frame_files, read_crop, read_video
from reference.pictured_faces import face, write_jpeg, write_video


def test_the_frames_of_a_folder_are_its_pictures_by_name(tmp_path: Path):
    for name in ("b.jpg", "a.jpg", ".hidden.jpg", "c.png", "d.jpg.txt", "E.JPG"):
        (tmp_path / name).write_bytes(b"x")
    assert frame_files(tmp_path) == [tmp_path / name for name in ("E.JPG", "a.jpg", "b.jpg", "c.png")]


def test_the_frames_of_a_file_in_rgb(tmp_path: Path):
    faces = [face(seed) for seed in range(5)]
    frames = list(read_video(write_video(tmp_path / "a.avi", faces)))
    assert len(frames) == 5
    for decoded, original in zip(frames, faces, strict=True):
        assert decoded.dtype == np.uint8
        assert decoded.shape == (112, 112, 3)
        assert np.abs(decoded.astype(int) - original).mean() < 20, "lossy, but the same picture"
        assert np.abs(decoded[..., ::-1].astype(int) - original).mean() > 40, "and not in BGR"


def test_frames_of_another_size(tmp_path: Path):
    path = write_video(tmp_path / "a.avi", [np.zeros((96, 128, 3), np.uint8)])
    with pytest.raises(DamagedImage, match="is 128x96; expected aligned 112x112 crops"):
        list(read_video(path))


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "a.avi"
    path.write_bytes(content)
    with pytest.raises(DamagedImage, match=r"is (empty|a text); expected a video file"):
        list(read_video(path))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("written", "named"), [(s, s) for s in (".avi", ".mp4", ".mov", ".mkv")] + [(".mp4", ".m4v")])
def test_every_container_that_lists_may_name_is_read(tmp_path: Path, written: str, named: str):
    path = write_video(tmp_path / f"a{written}", [face(1), face(2)]).rename(tmp_path / f"b{named}")
    assert len(list(read_video(path))) == 2


def test_a_playlist_under_the_name_of_a_video_opens_no_other_file(tmp_path: Path):
    write_video(tmp_path / "other.avi", [face(1)])
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile 'other.avi'\n")
    with pytest.raises(DamagedImage, match=r"is (empty|a text); expected a video file"):
        list(read_video(tmp_path / "a.mp4"))


def test_a_video_that_breaks_off_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write_video(tmp_path / "a.avi", [face(seed) for seed in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    caplog.set_level(logging.WARNING)
    met = len(list(read_video(path)))
    assert 0 < met < 20
    assert f"{path}: has {met} frames that can be decoded and announces 20" in caplog.text


def test_a_crop_is_strict(tmp_path: Path):
    path = tmp_path / "a.jpg"
    pixels = write_jpeg(path, face(1))
    np.testing.assert_array_equal(read_crop(path), pixels)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DamagedImage, match="incomplete JPEG"):
        read_crop(path)
    write_jpeg(path, np.zeros((112, 96, 3), np.uint8))
    with pytest.raises(DamagedImage, match="is 96x112; expected an aligned 112x112 crop"):
        read_crop(path)
    with pytest.raises(DamagedImage, match="cannot be read"):
        read_crop(tmp_path)
