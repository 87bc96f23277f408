"""``judge`` end to end: two ONNX files, frozen sets with what lies beside them, a verdict with reasons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from distill.cli import main
from distill.config.compose import load
from distill.config.scoring_jobs import JudgeConf
from distill.data.pairs import write_pairs
from reference.small_data import picture
from reference.tiny_onnx import TinyOnnx

EASY = ("judge.resamples=100", *(f"judge.{where}.auc=0.2" for where in ("margin", "slice_margin")), "judge.fpr=0.6")
OTHER_MARGINS = [f"judge.{where}.{m}=0.3" for where in ("margin", "slice_margin") for m in ("accuracy", "tpr_at_fpr")]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 pairs of people alike and different; a sidecar that knows a group but not who they are twice."""
    path = tmp_path_factory.mktemp("sets") / "people.bin"
    rows = [(200 + k, 200 + (k if k % 2 else k + 1), k) for k in range(120)]
    encoded = [image for a, b, k in rows for image in (picture(a, 2 * k), picture(b, 2 * k + 1))]
    write_pairs(path, encoded, [a == b for a, b, _ in rows])
    lines = [f"{a}\t{b}\t{'in' if k % 3 else 'out'}doors" for a, b, k in rows]
    path.with_suffix(".tsv").write_text("\n".join(["left\tright\tplace", *lines]) + "\n")
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return TinyOnnx(width=512).write(tmp_path / "good.onnx")


def changed(model: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A copy of an ONNX file with other weights."""
    proto = onnx.load(model)
    (weights,) = proto.graph.initializer
    array = change(numpy_helper.to_array(weights)).astype(np.float32)
    weights.CopyFrom(numpy_helper.from_array(array, weights.name))
    onnx.save(proto, model.with_name(name))
    return model.with_name(name)


@pytest.fixture
def bad(good: Path) -> Path:
    """The same network, which sees of a picture how bright it is and no more."""
    return changed(good, "bad.onnx", lambda w: np.broadcast_to(w.mean(axis=(1, 2, 3), keepdims=True), w.shape))


def written(folder: Path) -> dict:
    return json.loads((folder / "judge.json").read_text())


def test_a_better_challenger_is_promoted_and_the_exchange_rejected(good, bad, pairs, tmp_path, capsys):
    judged = ["judge", f"pairs={pairs}", f"out={tmp_path}", *EASY, *OTHER_MARGINS]
    assert main([*judged, f"champion={bad}", f"challenger={good}"]) == 0
    printed = capsys.readouterr().out
    assert "verdict   PROMOTE" in printed
    there = written(tmp_path)
    assert there["verdict"] == "promote"
    assert there["sets"]["people"]["pairs"] == 120
    assert there["sets"]["people"]["people"] == 120
    slices = {reason["slice"] for reason in there["reasons"]} - {None}
    assert {"all", "place=indoors", "place=outdoors", "sharpness=low", "sharpness=high"} <= slices
    assert main([*judged, f"champion={good}", f"challenger={bad}", "newer_data=true"]) == 1
    printed = capsys.readouterr().out
    back = written(tmp_path)
    assert back["verdict"] == "reject"
    assert "verdict   REJECT" in printed
    failed = [reason["text"] for reason in back["reasons"] if not reason["passed"]]
    assert failed
    assert all(f"  - {text}" in printed for text in failed)
    assert max(map(len, printed.split("verdict")[0].splitlines())) <= 80


def test_a_model_against_itself_needs_newer_data(good, pairs, tmp_path):
    judged = ["judge", f"pairs={pairs}", f"out={tmp_path}", *EASY, *OTHER_MARGINS]
    models = [f"champion={good}", f"challenger={good}"]
    assert main([*judged, *models]) == 1
    assert [reason["kind"] for reason in written(tmp_path)["reasons"] if not reason["passed"]] == ["main"]
    assert main([*judged, *models, "newer_data=true"]) == 0


def test_the_anchor_holds_what_the_champion_has_lost(good, bad, pairs, tmp_path):
    judged = ["judge", f"pairs={pairs}", f"out={tmp_path}", *EASY, *OTHER_MARGINS, "newer_data=true"]
    models = [f"champion={bad}", f"challenger={bad}", "judge.floor=0.01"]
    assert main([*judged, *models, *(f"judge.{where}.auc=0.5" for where in ("margin", "slice_margin"))]) == 0
    assert main([*judged, *models, f"judge.anchor={good}"]) == 1
    assert "anchor" in {reason["kind"] for reason in written(tmp_path)["reasons"] if not reason["passed"]}


def test_the_first_champion_and_the_floor(good, pairs, tmp_path):
    judged = ["judge", f"challenger={good}", f"pairs={pairs}", *EASY]
    assert main([*judged, "judge.floor=0.55"]) == 0
    assert written(tmp_path)["champion"] is None
    assert main([*judged, "judge.floor=0.9999"]) == 1


def test_the_protocol_rejects_whatever_the_scores(good, pairs, tmp_path):
    small = TinyOnnx(width=6).write(tmp_path / "small.onnx")
    assert main(["judge", f"challenger={small}", f"pairs={pairs}", *EASY, "judge.floor=0.5001"]) == 1
    failed = [reason["text"] for reason in written(tmp_path)["reasons"] if not reason["passed"]]
    assert len(failed) == 1
    assert failed[0].startswith("check: output 'embedding' is 1x6 for one image; expected 1x512")


def test_a_challenger_that_gives_nan_is_rejected_and_a_champion_is_a_mistake(good, pairs, tmp_path, refused):
    broken = changed(good, "broken.onnx", lambda w: np.full_like(w, np.nan))
    judged = ["judge", f"pairs={pairs}", f"out={tmp_path}", *EASY]
    assert main([*judged, f"champion={good}", f"challenger={broken}", "newer_data=true"]) == 1
    failed = [reason["text"] for reason in written(tmp_path)["reasons"] if reason["metric"] == "scores"]
    assert failed[0].startswith("people: the challenger has no finite score for 120 of 120 pairs: embeddings: ")
    told = refused(*judged, f"champion={broken}", f"challenger={good}")
    assert told.startswith("champion on people: embeddings: 240 of 240 rows are zero, NaN or infinite")


def test_parity_is_that_of_the_run(good, pairs, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    good.rename(run / "student.onnx")
    judged = ["judge", f"challenger={run}", f"pairs={pairs}", *EASY, "judge.floor=0.55"]
    for metrics, told in (
        (None, f"parity: not known, {run} is no finished run; `make export` measures it"),
        ({"parity": {"max_relative": 2.5e-6}}, "parity: largest relative difference from the network 2.5e-06"),
    ):
        if metrics is not None:
            (run / "metrics.json").write_text(json.dumps(metrics))
        assert main(judged) == 0
        assert told in [reason["text"] for reason in written(run)["reasons"]]


def test_sets_of_one_name_are_told_apart(good, pairs, tmp_path):
    other = tmp_path / "other" / pairs.name
    other.parent.mkdir()
    other.write_bytes(pairs.read_bytes())
    assert main(["judge", f"challenger={good}", f"pairs=[{pairs},{other}]", *EASY, "judge.floor=0.55"]) == 0
    assert list(written(tmp_path)["sets"]) == [f"{pairs.parent.name}/people", "other/people"]


def test_mistakes_are_one_line_before_any_image_is_embedded(good, pairs, tmp_path, refused, capsys):
    judged = ["judge", f"challenger={good}", f"pairs={pairs}"]
    assert refused("judge", f"pairs={pairs}") == (
        "challenger is missing: an ONNX file or a run folder, e.g. challenger=runs/latest"
    )
    assert refused(*judged, "judge.margin.auc=0") == "judge.margin.auc is 0; expected a number between 0 and 1"
    assert refused(*judged, "judge.main_set=lfw") == "judge.main_set is 'lfw'; expected one of people"
    assert refused(*judged, "batch_size=0") == "batch_size is 0; expected 1 or more"
    assert "accuracy, auc, tpr_at_fpr" in refused(*judged, "judge.main=f1")
    assert refused(*judged[:2], f"pairs={tmp_path}/no.bin") == (
        f"{tmp_path}/no.bin: no such file; expected a verification set (.bin)"
    )
    copy = tmp_path / "copy.bin"
    copy.write_bytes(pairs.read_bytes())
    copy.with_suffix(".tsv").write_text("left\tright\n200\t200\n")
    assert refused(*judged[:2], f"pairs={copy}") == (
        f"{copy.with_suffix('.tsv')}, line 2: has the persons '200' and '200' for a pair that its .bin calls impostor"
    )
    assert not (tmp_path / "judge.json").exists()


def test_the_judge_is_shipped_with_the_defaults_of_its_settings():
    assert load("judge", ["challenger=x.onnx", "pairs=x.bin"]).judge == JudgeConf()
