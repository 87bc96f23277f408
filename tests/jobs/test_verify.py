"""``verify`` alone: scores, their place, where the preprocessing comes from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from distill.cli import main
from distill.data.pairs import read_pairs, write_pairs
from distill.metrics.verification import verify
from distill.types import Preprocessing
from reference.tiny_onnx import TinyOnnx
from teachers.onnx_network import METADATA_KEY, preprocessing_to_json

PROMISED = {"accuracy_mean", "accuracy_std", "auc", "tpr_at_fpr", "pairs"}
QUICK = "bootstrap=20"


def found(path: Path) -> dict:
    return json.loads(path.read_text())


@pytest.fixture
def pairs(root: Path) -> Path:
    return root / "lfw_small.bin"


def test_scores_are_those_of_a_loop_over_single_images(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tiny = TinyOnnx()
    model = tiny.write(tmp_path / "a.onnx")
    assert main(["verify", f"model={model}", f"pairs={pairs}", "batch_size=5"]) == 0
    written = found(tmp_path / "verify.json")
    assert written.keys() >= PROMISED
    crops = read_pairs(pairs)
    rows = []
    for image in crops.images.numpy().astype(np.float64):
        plain, mirrored = (image - 127.5) / 128, (image[:, :, ::-1] - 127.5) / 128
        rows.append(tiny.reference(plain[None])[0] + tiny.reference(mirrored[None])[0])
    unit = np.array([row / np.linalg.norm(row) for row in rows])
    slow = verify(unit[0::2], unit[1::2], crops.same)
    assert written["accuracy_mean"] == pytest.approx(slow.accuracy_mean)
    assert written["auc"] == pytest.approx(slow.auc)
    assert (written["pairs"], written["set"]) == (24, crops.name)
    printed = capsys.readouterr().out
    assert f"{written['accuracy_mean']:.2%}" in printed
    assert "preprocessing: default: RGB, mean 127.5, std 128" in printed


def test_an_open_batch_that_is_none_is_run_image_by_image(pairs: Path, tmp_path: Path, caplog):
    scores = {}
    for declared in (1, "None"):
        model = TinyOnnx(batch=declared).write(tmp_path / f"{declared}.onnx")
        proto = onnx.load(model)
        flatten = next(node for node in proto.graph.node if node.op_type == "Flatten")  # as a trace of one image has it
        flatten.CopyFrom(helper.make_node("Reshape", ["map", "one_row"], ["embedding"]))
        proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 6]), "one_row"))
        onnx.save(proto, model)
        assert main(["verify", f"model={model}", f"pairs={pairs}", f"out={tmp_path / str(declared)}", QUICK]) == 0
        scores[declared] = found(tmp_path / str(declared) / "verify.json")
    for key in ("model", "model_sha256"):
        assert scores[1].pop(key) != scores["None"].pop(key)
    assert scores[1] == scores["None"]
    told = [record.getMessage() for record in caplog.records if "found by trying" in record.getMessage()]
    assert told == [f"{tmp_path / 'None.onnx'}: found by trying: it declares an open batch and is run image by image"]


def test_every_door_opens_networks_in_the_way_that_is_found_by_trying(repository: Path):
    files = [path for folder in ("distill", "teachers") for path in (repository / folder).rglob("*.py")]
    doors = {path.name for path in files if "InferenceSession(" in path.read_text(encoding="utf-8")}
    assert doors == {"onnx_session.py", "parity.py"}, "parity runs the student that was just exported, as it declares"


def test_fixed_batch_1_gives_the_same_scores_in_another_place(pairs: Path, tmp_path: Path):
    for name, batch in (("open", "batch"), ("fixed", 1)):
        model = TinyOnnx(batch=batch).write(tmp_path / f"{name}.onnx")
        assert main(["verify", f"model={model}", f"pairs={pairs}", f"out={tmp_path / name}", QUICK]) == 0
    both = [found(tmp_path / name / "verify.json") for name in ("open", "fixed")]
    for key in ("model", "model_sha256"):
        assert both[0].pop(key) != both[1].pop(key)
    assert both[0] == both[1]
    assert not (tmp_path / "verify.json").exists()


def test_a_part_of_lfw_is_judged_over_its_own_folds(pairs: Path, tmp_path: Path, refused):
    run = ["verify", f"model={TinyOnnx().write(tmp_path / 'a.onnx')}", f"pairs={pairs}"]
    assert main([*run, "folds=2"]) == 0
    assert found(tmp_path / "verify.json")["folds"] == 2
    assert len(found(tmp_path / "verify.json")["fold_accuracies"]) == 2
    for folds in (1, 25):
        assert (
            refused(*run, f"folds={folds}")
            == f"{pairs}: 24 pairs for {folds} folds; expected 2 folds or more and a pair for each"
        )


def test_few_pairs_support_no_rare_false_positives(pairs: Path, tmp_path: Path):
    model = TinyOnnx().write(tmp_path / "a.onnx")
    assert main(["verify", f"model={model}", f"pairs={pairs}", QUICK]) == 0
    written = found(tmp_path / "verify.json")
    assert written["tpr_at_fpr"].keys() == {"0.1", "0.01", "0.001", "0.0001"}
    assert written["tpr_at_fpr"]["0.1"] is not None
    assert written["tpr_at_fpr"]["0.0001"] is None
    assert "tpr_at_fpr.0.0001" in written["missing"]
    assert written["intervals"]["resamples"] == 20


def test_preprocessing_from_metadata_then_card_then_default(pairs: Path, tmp_path: Path):
    def source_and_auc() -> tuple[str, float]:
        assert main(["verify", f"model={model}", f"pairs={pairs}", QUICK]) == 0
        written = found(tmp_path / "verify.json")
        return written["preprocessing"], written["histogram"]

    model = TinyOnnx().write(tmp_path / "a.onnx")
    default = source_and_auc()
    (tmp_path / "a.card.yaml").write_text(
        "{name: x, source: s, licence: l, preprocessing: {order: bgr, mean: [0, 0, 0], std: [9, 9, 9]}}\n"
    )
    card = source_and_auc()
    TinyOnnx(metadata={METADATA_KEY: preprocessing_to_json(Preprocessing())}).write(model)
    metadata = source_and_auc()
    words = [told for told, _ in (default, card, metadata)]
    assert words == [
        "default: RGB, mean 127.5, std 128",
        "card: BGR, mean 0, std 9",
        "metadata: RGB, mean 127.5, std 128",
    ]
    assert default[1] == metadata[1]
    assert card[1] != default[1], "it is not only said but done"


def test_several_sets_are_one_table_and_each_scores_as_alone(pairs: Path, tmp_path: Path, capsys):
    model = TinyOnnx().write(tmp_path / "a.onnx")
    sets = tmp_path / "sets"
    sets.mkdir()
    half = read_encoded(pairs)
    write_pairs(sets / "agedb_30.bin", half[0][:32], half[1][:16])
    write_pairs(sets / "lfw.bin", half[0], half[1])
    assert main(["verify", f"model={model}", f"pairs={sets}", QUICK]) == 0
    printed = capsys.readouterr().out
    together = found(tmp_path / "verify.json")
    assert [one["set"] for one in together["sets"]] == ["lfw", "agedb_30"]
    for one in together["sets"]:
        assert f"{one['accuracy_mean']:.2%} ± {one['accuracy_std']:.2%}" in printed
        alone = tmp_path / one["set"]
        assert main(["verify", f"model={model}", f"pairs={sets / one['set']}.bin", QUICK, f"out={alone}"]) == 0
        written = found(alone / "verify.json")
        assert one == {key: value for key, value in written.items() if key in one}
    listed = [f"pairs=[{sets}/agedb_30.bin,{sets}/lfw.bin]", f"out={tmp_path / 'listed'}"]
    assert main(["verify", f"model={model}", QUICK, *listed]) == 0
    assert found(tmp_path / "listed" / "verify.json")["sets"] == together["sets"][::-1]


def read_encoded(pairs: Path) -> tuple[list[bytes], list[bool]]:
    encoded, same = pickle.loads(pairs.read_bytes())
    return encoded, same


def test_a_run_folder_is_a_model(pairs: Path, tmp_path: Path, refused):
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    latest = run.parent / "latest"
    latest.symlink_to("mine")
    assert refused("verify", f"model={latest}", f"pairs={pairs}") == (
        f"{latest} holds no student.onnx: expected an ONNX file, or the folder of a finished run"
    )
    TinyOnnx().write(run / "student.onnx")
    assert main(["verify", f"model={latest}", f"pairs={pairs}", QUICK]) == 0
    assert found(run / "verify.json")["model"] == f"{run}/student.onnx"


def test_sets_that_are_none_are_refused_before_any_is_scored(pairs: Path, tmp_path: Path, refused):
    run = ["verify", f"model={TinyOnnx().write(tmp_path / 'a.onnx')}"]
    assert refused(*run) == (
        "pairs is missing: verification sets, e.g. pairs=lfw.bin, pairs=[lfw.bin,cfp_fp.bin] or pairs=FOLDER"
    )
    assert refused(*run, "pairs=[]") == (
        "pairs is []; expected a verification set (.bin), a folder of them, or [A.bin,B.bin]"
    )
    for name in ("5", "{a: b}"):
        assert refused(*run, f"pairs={name}") == f"{name}: no such file; expected a verification set (.bin)"
    (tmp_path / "empty").mkdir()
    assert refused(*run, f"pairs={tmp_path}/empty") == f"{tmp_path}/empty: holds no *.bin; expected verification sets"
    assert refused(*run, f"pairs=[{pairs},{pairs}]", "folds=25") == (
        f"{pairs}: 24 pairs for 25 folds; expected 2 folds or more and a pair for each"
    )
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"no pickle")
    assert refused(*run, f"pairs=[{pairs},{broken}]").startswith(f"{broken} is not a verification set")
    assert not (tmp_path / "verify.json").exists()


@pytest.mark.parametrize("missing", ["model", "pairs"])
def test_a_missing_file_is_one_line_and_2(pairs: Path, tmp_path: Path, missing: str, capsys):
    files = {"model": TinyOnnx().write(tmp_path / "a.onnx"), "pairs": pairs, missing: tmp_path / "nowhere"}
    assert main(["verify", *(f"{key}={path}" for key, path in files.items())]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "nowhere") in error
    assert error.count("\n") == 1
    assert not (tmp_path / "verify.json").exists()


@pytest.mark.slow
def test_the_real_reference_teacher_on_real_pairs(faces_root: Path, tmp_path: Path):
    model, pairs = faces_root / "reference_teacher.onnx", faces_root / "lfw_dev.bin"
    assert main(["verify", f"model={model}", f"pairs={pairs}", f"out={tmp_path}"]) == 0
    written = found(tmp_path / "verify.json")
    assert written["accuracy_mean"] == pytest.approx(0.9908, abs=5e-4)
    assert written["accuracy_std"] == pytest.approx(0.0095, abs=5e-4)
    assert written["auc"] == pytest.approx(0.9985, abs=5e-4)
    assert written["pairs"] == 1200
    low, high = written["intervals"]["accuracy"]
    assert low < 0.9908 < high
    assert written["tpr_at_fpr"]["0.01"] > 0.98


def test_a_pair_that_cannot_be_read_is_named_and_left_out(pairs: Path, tmp_path: Path, capsys, refused):
    encoded, same = pickle.loads(pairs.read_bytes())
    torn = tmp_path / "torn.bin"
    write_pairs(torn, [image if row != 7 else bytes(image)[:-200] for row, image in enumerate(encoded)], same)
    run = ["verify", f"model={TinyOnnx().write(tmp_path / 'a.onnx')}", QUICK]
    assert main([*run, f"pairs={torn}"]) == 0
    written = found(tmp_path / "verify.json")
    assert (written["damaged_images"], written["pairs_left_out"], written["pairs"]) == (1, 1, 23)
    assert written["damaged"][0].startswith(f"{torn}: image 2 of pair 3 of 24: incomplete JPEG")
    assert "1 damaged image left out, 1 pairs with them" in capsys.readouterr().out
    assert main([*run, f"pairs=[{torn},{pairs}]"]) == 0
    written = found(tmp_path / "verify.json")
    assert written["damaged_images"] == 1
    assert [one["pairs_left_out"] for one in written["sets"]] == [1, 0]
    told = refused(*run, f"pairs={torn}", "max_damaged=0")
    assert told.startswith(f"{torn}: image 2 of pair 3 of 24: incomplete JPEG")
    assert "number 1 of this run; max_damaged allows 0" in told
