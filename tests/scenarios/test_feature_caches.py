"""Features and sums of templates: used again with the same inputs, computed again after a change of any of them.

The table of what is kept, and of what each is bound to, is in docs/design.md.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from distill.config.compose import load
from distill.data import ijb as ijb_sets
from distill.data.damage import Damage
from distill.data.ijb import find_ijb, read_faces
from distill.errors import UserError
from distill.features import make as feature_makers
from distill.features import rows as features
from distill.features import template_sums as pooling
from distill.features.template_sums import Bound, Pooling, pool_images
from distill.files.network_file import network_sha256
from distill.jobs import embed, ijb, judge, verify
from reference import ijb_layout
from reference.changed_inputs import (
    OF_THE_FACES,
    Change,
    another_rule,
    edit,
    network,
    other_weights,
    padded,
    put_card,
    replace,
)
from teachers.onnx_network import OnnxNetwork

OF_IJB: dict[str, Change] = {
    "weights beside the graph": lambda place, patch: other_weights(place / "teacher"),
    "the graph": lambda place, patch: network(place / "teacher", width=5),
    "the card beside it": lambda place, patch: put_card(place / "teacher"),
    "a picture": lambda place, patch: replace(
        place / "IJBC/loose_crop/1.jpg", (place / "IJBC/loose_crop/2.jpg").read_bytes()
    ),
    "a point of a face": lambda place, patch: edit(place / "IJBC/meta/ijbc_name_5pts_score.txt", "1.jpg ", "1.jpg 1"),
    "a medium": lambda place, patch: edit(place / "IJBC/meta/ijbc_face_tid_mid.txt", "1.jpg 101 707", "1.jpg 101 9"),
    "the decoding rule": another_rule(ijb_sets),
}


@pytest.mark.slow
def test_sums_of_templates_are_of_this_network_and_these_images(place: Path, monkeypatch: pytest.MonkeyPatch):
    ijb_layout.small().write(place / "IJBC")
    embedded: list[int] = []
    inner = pooling._embed
    monkeypatch.setattr(pooling, "_embed", lambda *a: (embedded.append(1), inner(*a))[1])
    monkeypatch.setattr(ijb, "print_figures", lambda *_: None)
    model = f"model={place / 'teacher/network.onnx'}"
    conf = load("ijb", [model, f"data.root={place / 'IJBC'}", f"out={place / 'out'}", "bootstrap=2"])

    def batches() -> int:
        before = len(embedded)
        assert ijb.run(conf) == 0
        return len(embedded) - before

    once = batches()
    assert (once > 0, batches()) == (True, 0)
    for what, change in OF_IJB.items():
        change(place, monkeypatch)
        assert (batches(), batches()) == (once, 0), what


# features


OTHER_IMAGES = "of images with other contents"
OF_FEATURES: dict[str, tuple[str, Change]] = {
    "weights beside the graph": ("with model_sha256 ", lambda place, patch: other_weights(place / "teacher")),
    "the card beside it": ("with preprocessing ", lambda place, patch: put_card(place / "teacher")),
    "the list": ("with list_sha256 ", lambda place, patch: edit(place / "list.txt", "p0/0", "./p0/0")),
    "a picture of the same size": (OTHER_IMAGES, OF_THE_FACES["a picture of the same size"]),
    "the decoding rule": ("with decoding_rule ", another_rule(feature_makers)),
}


def test_features_are_of_this_network_and_these_images(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """What is in a feature file is refused rather than written over: somebody may need it."""
    options = [f"model={place / 'teacher/network.onnx'}", f"list={place / 'list.txt'}", f"root={place / 'faces'}"]
    conf = load("embed", [*options, f"out={place / 'features.bin'}"])
    fresh = dataclasses.replace(conf, fresh=True)
    assert embed.run(conf) == embed.run(conf) == 0
    assert "6 of 6 rows are there already" in capsys.readouterr().out
    for what, (told, change) in OF_FEATURES.items():
        change(place, monkeypatch)
        with pytest.raises(UserError, match=rf"features\.bin has features {told}.*expected the same"):
            embed.run(conf)
        assert embed.run(fresh) == embed.run(conf) == 0, what


def test_features_of_videos_are_of_every_frame_and_of_the_network_that_weighs_them(place: Path):
    (place / "list.txt").write_text("p0\np1\np2\n")
    network(place / "quality", width=1)
    options = [f"model={place / 'teacher/network.onnx'}", f"list={place / 'list.txt'}", f"root={place / 'faces'}"]
    weighed = ["kind=video", "fusion=network", f"frame_quality={place / 'quality/network.onnx'}"]
    conf = load("embed", [*options, *weighed, f"out={place / 'features.bin'}"])
    for told, change in (
        (OTHER_IMAGES, lambda: replace(place / "faces/p2/1.jpg", padded(77, 0))),
        ("with frame_quality_sha256", lambda: other_weights(place / "quality")),
        ("with frame_quality_preprocessing", lambda: put_card(place / "quality")),
    ):
        assert embed.run(dataclasses.replace(conf, fresh=True)) == embed.run(conf) == 0
        change()
        with pytest.raises(UserError, match=f"has features {told}"):
            embed.run(conf)


def test_a_later_image_may_be_mended_while_features_are_written(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Rows that are written stay; a change of an image that is in them is refused."""
    monkeypatch.setitem(features.BLOCK_ROWS, "image", 2)
    model, mended = f"model={place / 'teacher/network.onnx'}", place / "faces/p2/0.jpg"
    paths = [f"list={place / 'list.txt'}", f"root={place / 'faces'}", f"out={place / 'features.bin'}"]
    conf = load("embed", [model, *paths, "batch_size=2", "max_damaged=0"])
    mended.write_bytes(b"torn")
    for _ in range(2):
        with pytest.raises(UserError, match="line 5"):
            embed.run(conf)
    first = (place / "faces/p0/0.jpg").read_bytes()
    mended.write_bytes(padded(2, 0))
    replace(place / "faces/p0/0.jpg", padded(77, 0))
    with pytest.raises(UserError, match=f"features.bin.partial has features {OTHER_IMAGES}.*among the first 4 rows"):
        embed.run(conf)
    replace(place / "faces/p0/0.jpg", first)
    capsys.readouterr()
    assert embed.run(conf) == embed.run(conf) == 0
    told = capsys.readouterr().out
    assert "4 of 6 rows are there already" in told
    assert "6 of 6 rows are there already" in told


def test_a_later_image_may_be_mended_while_templates_are_summed(place: Path, monkeypatch: pytest.MonkeyPatch):
    ijb_layout.small().write(place / "IJBC")
    mended = place / "IJBC/loose_crop/66.jpg"
    whole = mended.read_bytes()
    embedded: list[int] = []
    inner = pooling._embed
    monkeypatch.setattr(pooling, "_embed", lambda *a: (embedded.append(1), inner(*a))[1])

    def sums() -> int:
        before, faces = len(embedded), read_faces(find_ijb(place / "IJBC"))
        embedder = OnnxNetwork(place / "teacher/network.onnx")
        pool_images(embedder, faces, Pooling(False, True, 16), Bound(place / "sums.npz", "key"), Damage(0), 0.0)
        return len(embedded) - before

    mended.write_bytes(b"torn")
    with pytest.raises(UserError, match=r"66\.jpg"):
        sums()
    mended.write_bytes(whole)
    assert sums() == 1, "the last of five batches"
    replace(place / "IJBC/loose_crop/1.jpg", whole)
    assert (sums(), sums()) == (5, 0)


# results


def test_every_result_names_the_network_by_its_contents(place: Path):
    ijb_layout.small().write(place / "IJBC")
    model, pairs, out = place / "teacher/network.onnx", f"pairs={place / 'pairs.bin'}", f"out={place / 'out'}"
    judged = [f"challenger={model}", f"champion={network(place / 'old', width=5)}", f"judge.anchor={model}"]
    assert verify.run(load("verify", [f"model={model}", pairs, out, "bootstrap=2"])) == 0
    assert ijb.run(load("ijb", [f"model={model}", f"data.root={place / 'IJBC'}", out, "bootstrap=2"])) == 0
    margins = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
    judge.run(load("judge", [*judged, pairs, out, "judge.resamples=100", *margins]))
    known, old = network_sha256(model), network_sha256(place / "old/network.onnx")
    said = {
        name: json.loads((place / "out" / f"{name}.json").read_text()) for name in ("verify", "ijbc_verify", "judge")
    }
    assert said["verify"]["model_sha256"] == said["ijbc_verify"]["model_sha256"] == known
    assert [said["judge"][f"{who}_sha256"] for who in ("challenger", "champion", "anchor")] == [known, old, known]
