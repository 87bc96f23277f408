"""Rows of images and videos against a loop over single crops, whatever the batch and wherever a run begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from distill.data.damage import Damage
from distill.errors import UserError
from distill.features.face_list import FaceList, Kind, find_faces, read_lines
from distill.features.feature_file import verify_features
from distill.features.rows import FaceRows
from distill.features.rule import RowRule
from distill.features.writer import FeatureWriter, kept_rows
from distill.metrics.fusion import ROUNDS, SHARPNESS
from reference.features import image_row, read_file, unit, video_row
from reference.fusion import consensus, min_max_sum, template
from reference.pictured_faces import embed, face, write_jpeg, write_video
from teachers.onnx_network import OnnxNetwork

IMAGE, VIDEO, BY_NORM = RowRule("image", True), RowRule("video", False, "mean"), RowRule("video", False, "norm")
Make = Callable[..., np.ndarray]


def listed(folder: Path, lines: list[str], kind: Kind) -> FaceList:
    path = folder / "list.txt"
    path.write_text("\n".join(lines))
    return find_faces(read_lines(path, kind), folder, kind)


@pytest.fixture
def images(tmp_path: Path) -> tuple[FaceList, list[np.ndarray]]:
    """Eleven images, listed in another order than by name."""
    names = [f"{(5 * n) % 11}.jpg" for n in range(11)]
    crops = [write_jpeg(tmp_path / name, face(n)) for n, name in enumerate(names)]
    return listed(tmp_path, names, "image"), crops


@pytest.fixture
def videos(tmp_path: Path) -> tuple[FaceList, list[list[np.ndarray]]]:
    """Folders of 1, 5 and 3 frames, each of a face that changes a little."""
    frames = [
        [
            write_jpeg(tmp_path / f"v{v}" / f"{n:04}.jpg", face(10 * v) // 2 + face(10 * v + n) // 3)
            for n in range(count)
        ]
        for v, count in enumerate((1, 5, 3))
    ]
    return listed(tmp_path, ["v2 9", "v0 x", "v1"], "video"), [frames[2], frames[0], frames[1]]


@pytest.fixture
def make(network: OnnxNetwork) -> Make:
    def run(faces: FaceList, rule: RowRule, batch_size: int = 4) -> np.ndarray:
        return np.concatenate(list(FaceRows(faces, network, rule, batch_size).made(range(len(faces)))))

    return run


def test_an_image_is_the_flip_sum(images, make: Make):
    faces, crops = images
    expected = [image_row(embed, crop) for crop in crops]
    for batch_size in (1, 4, 64):
        found = make(faces, IMAGE, batch_size)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-6)
    without = make(faces, RowRule("image", False))
    np.testing.assert_allclose(without, [unit(embed(crop)) for crop in crops], atol=2e-6)
    assert np.abs(without - found).max() > 0.01


def test_a_video_is_the_mean_of_unit_vectors_without_flip(videos, make: Make):
    faces, frames = videos
    expected = [video_row(embed, crops) for crops in frames]
    for batch_size in (1, 2, 64):
        np.testing.assert_allclose(make(faces, VIDEO, batch_size), expected, atol=2e-6)
    by_length = make(faces, BY_NORM, 2)
    np.testing.assert_allclose(by_length, [video_row(embed, crops, by_length=True) for crops in frames], atol=2e-6)
    assert np.abs(by_length - expected).max() > 1e-4


def clearness(crop: np.ndarray) -> float:
    return float(crop.mean()) / 255


class Clearness:
    """A network that weighs frames by their light."""

    embedding_dim = 1

    def embed(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))[:, None] / 255


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_frames_count_by_a_network_and_by_how_far_they_agree(videos, network: OnnxNetwork, batch_size: int):
    faces, frames = videos

    def made(rule: RowRule, quality: Clearness | None = None) -> np.ndarray:
        return np.concatenate(list(FaceRows(faces, network, rule, batch_size, quality).made(range(len(faces)))))

    found = [np.stack([embed(crop) for crop in crops]) for crops in frames]
    light = [[clearness(crop) for crop in crops] for crops in frames]
    expected = [template(f, w) for f, w in zip(found, light, strict=True)]
    np.testing.assert_allclose(made(RowRule("video", False, "network"), Clearness()), expected, atol=2e-6)
    agreed = [consensus(f, SHARPNESS, ROUNDS) if len(f) > 2 else [1.0] * len(f) for f in found]
    expected = [template(f, w) for f, w in zip(found, agreed, strict=True)]
    np.testing.assert_allclose(made(RowRule("video", False, "mean", consensus=True)), expected, atol=1e-5)
    both = [np.multiply(w, a) for w, a in zip(light, agreed, strict=True)]
    expected = [template(f, w.tolist()) for f, w in zip(found, both, strict=True)]
    np.testing.assert_allclose(
        made(RowRule("video", False, "network", consensus=True), Clearness()), expected, atol=1e-5
    )


@pytest.mark.parametrize("batch_size", [1, 64])
def test_the_trojans_map_qualities_within_a_video(videos, network: OnnxNetwork, batch_size: int):
    faces, frames = videos
    rows = FaceRows(faces, network, RowRule("video", False, "qan"), batch_size, Clearness())
    expected = [
        min_max_sum(np.stack([embed(crop) for crop in crops]), [clearness(crop) for crop in crops]) for crops in frames
    ]
    assert max(map(len, frames)) > 2
    np.testing.assert_allclose(np.concatenate(list(rows.made(range(len(faces))))), expected, atol=2e-6)


def test_consensus_expects_what_concentrations_say(videos, network: OnnxNetwork):
    faces, frames = videos

    def made(fusion: str, quality: Clearness | None = None) -> np.ndarray:
        rows = FaceRows(faces, network, RowRule("video", False, fusion, consensus=True), 2, quality, concentrated=True)
        return np.concatenate(list(rows.made(range(len(faces)))))

    found = [np.stack([embed(crop) for crop in crops]) for crops in frames]
    light = [[clearness(crop) for crop in crops] for crops in frames]
    lengths = [np.linalg.norm(f, axis=1) for f in found]
    for fusion, quality, weights, scale in (
        ("network", Clearness(), light, 1),
        ("norm", None, lengths, len(found[0][0])),
    ):
        expected = []
        for f, w in zip(found, weights, strict=True):
            agreed = consensus(f, SHARPNESS, ROUNDS, [x / scale for x in w]) if len(f) > 2 else [1.0] * len(f)
            expected.append(template(f, np.multiply(w, agreed).tolist()))
        np.testing.assert_allclose(made(fusion, quality), expected, atol=1e-5)


def test_a_weight_that_is_none_names_its_video(videos, network: OnnxNetwork):
    class Backwards(Clearness):
        def embed(self, images: Tensor) -> Tensor:
            return -super().embed(images)

    faces, _ = videos
    with pytest.raises(UserError, match=rf"line 1: {faces.path(0)}: the weight of frame 0 is -0\..*expected a finite"):
        list(FaceRows(faces, network, RowRule("video", False, "network"), 4, Backwards()).made(range(3)))


def test_a_video_file_is_its_frames(tmp_path: Path, make: Make):
    originals = [face(seed) for seed in range(6)]
    write_video(tmp_path / "a.avi", originals)
    (row,) = make(listed(tmp_path, ["a.avi 3"], "video"), VIDEO)
    assert row @ video_row(embed, originals) > 0.99


def test_a_run_from_the_middle_gives_the_rest(images, network: OnnxNetwork):
    faces, _ = images
    rows = FaceRows(faces, network, IMAGE, 3)
    whole = np.concatenate(list(rows.made(range(11))))
    np.testing.assert_array_equal(np.concatenate(list(rows.made(range(6, 11)))), whole[6:])


def test_rows_are_written_in_order_and_continued(images, network: OnnxNetwork, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(__import__("distill.features.rows", fromlist=["x"]).BLOCK_ROWS, "image", 4)
    faces, crops = images
    told: list[int] = []
    with FeatureWriter(tmp_path / "a.bin", (11, 6), {}) as writer:
        FaceRows(faces, network, IMAGE, 2).write(writer, told.append)
        writer.finish()
    assert sum(told) == 11
    np.testing.assert_allclose(read_file(tmp_path / "a.bin"), [image_row(embed, crop) for crop in crops], atol=2e-6)

    broken = faces.path(9)
    content = broken.read_bytes()
    broken.write_bytes(content[:-200])
    with FeatureWriter(tmp_path / "b.bin", (11, 6), {}) as writer:
        with pytest.raises(UserError, match=rf"list\.txt, line 10: {broken}: incomplete JPEG"):
            FaceRows(faces, network, IMAGE, 2).write(writer, told.append)
        assert writer.done == 8
    broken.write_bytes(content)
    with FeatureWriter(tmp_path / "b.bin", (11, 6), {}) as writer:
        FaceRows(faces, network, IMAGE, 2).write(writer, told.append)
        writer.finish()
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()


def test_a_damaged_frame_is_named(videos, make: Make, tmp_path: Path):
    faces, _ = videos
    frame = tmp_path / "v1" / "0003.jpg"
    write_jpeg(frame, np.zeros((100, 112, 3), np.uint8))
    with pytest.raises(UserError, match=rf"list\.txt, line 3: {frame}: is 112x100; expected an aligned 112x112 crop"):
        make(faces, VIDEO)


def test_a_damaged_video_file_is_named(tmp_path: Path, make: Make):
    (tmp_path / "a.mp4").write_bytes(b"none")
    with pytest.raises(UserError, match=rf"list\.txt, line 1: {tmp_path / 'a.mp4'}: is a text; expected a video"):
        make(listed(tmp_path, ["a.mp4"], "video"), VIDEO)


@pytest.mark.parametrize("rule", [IMAGE, VIDEO])
def test_an_embedding_without_direction_names_its_line(images, videos, rule: RowRule, tmp_path: Path):
    class Black:
        """Has nothing to say of a dark picture."""

        embedding_dim = 2

        def embed(self, images):
            light = images.float().mean((1, 2, 3)) - images.float().mean((1, 2, 3)).clamp(max=1)
            return light[:, None].repeat(1, 2)

    faces, _ = images if rule is IMAGE else videos
    write_jpeg(faces.path(2) if rule is IMAGE else faces.path(2) / "0001.jpg", np.zeros((112, 112, 3), np.uint8))
    with pytest.raises(UserError, match=rf"line 3: {faces.path(2)}: .*zero, NaN or infinite.*expected"):
        list(FaceRows(faces, Black(), rule, 4).made(range(len(faces))))


def test_rules_that_contradict_themselves():
    with pytest.raises(UserError, match="fusion is None for kind=video; expected one of mean, norm, network, qan"):
        RowRule("video", False)
    with pytest.raises(UserError, match="fusion is mean for kind=image; expected none"):
        RowRule("image", True, "mean")
    with pytest.raises(UserError, match="consensus is true for kind=image; expected false"):
        RowRule("image", True, consensus=True)
    with pytest.raises(UserError, match="consensus is true for fusion=qan; expected false"):
        RowRule("video", False, "qan", consensus=True)
    assert IMAGE.words == "f(x) + f(mirrored x), normalised"
    assert VIDEO.words == "f(x) of each frame, fused by mean, normalised"
    assert RowRule("video", False, "norm", True).words == "f(x) of each frame, fused by norm and consensus, normalised"


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_a_damaged_image_is_a_row_of_zeros_and_the_others_are_as_they_would_be(
    images, network: OnnxNetwork, tmp_path: Path, batch_size: int
):
    faces, crops = images
    for row in (4, 5, 9):
        faces.path(row).write_bytes(faces.path(row).read_bytes()[:-200])
    damage = Damage(3)
    with FeatureWriter(tmp_path / "a.bin", (11, 6), {}) as writer:
        FaceRows(faces, network, IMAGE, batch_size, damage=damage).write(writer, lambda rows: None)
        assert writer.empty == [4, 5, 9]
        assert [row for row, _ in writer.damaged] == [4, 5, 9]
        writer.finish()
    expected = np.array([image_row(embed, crop) for crop in crops])
    expected[[4, 5, 9]] = 0
    np.testing.assert_allclose(read_file(tmp_path / "a.bin"), expected, atol=2e-6)
    verify_features(tmp_path / "a.bin", 11, empty=writer.empty)
    with pytest.raises(UserError, match="row 4 of 11 has length 0"):
        verify_features(tmp_path / "a.bin", 11)
    np.testing.assert_array_equal(kept_rows(tmp_path / "a.bin", 11), [0, 1, 2, 3, 6, 7, 8, 10])
    with FeatureWriter(tmp_path / "a.bin", (11, 6), {}) as again:
        assert (again.done, again.empty, again.damaged) == (11, writer.empty, writer.damaged)


def test_of_a_video_the_frames_that_can_be_read_make_the_row(videos, network: OnnxNetwork, tmp_path: Path):
    faces, frames = videos
    (tmp_path / "v1" / "0003.jpg").write_bytes(b"torn")
    (tmp_path / "v0" / "0000.jpg").write_bytes(b"torn")
    damage = Damage(2)
    for rule in (VIDEO, RowRule("video", False, "mean", consensus=True)):
        rows = np.concatenate(list(FaceRows(faces, network, rule, 2, damage=damage).made(range(3))))
        assert rows.any(axis=1).tolist() == [True, False, True]
        if rule is VIDEO:
            np.testing.assert_allclose(rows[2], video_row(embed, frames[2][:3] + frames[2][4:]), atol=2e-6)
    assert len(damage) == 2
