"""``export`` alone: the ONNX file of a run again, compared with PyTorch and judged."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from distill.cli import main
from distill.config.build import build
from distill.config.compose import config_yaml, load
from distill.types import FaceNetwork, Preprocessing
from teachers.onnx_network import OnnxNetwork
from teachers.weights import save_weights

SMALL = {"widths": [8, 8, 8, 8], "units": [1, 1, 1], "last_channels": 16}


@pytest.fixture
def run(root: Path, tmp_path: Path) -> tuple[Path, FaceNetwork]:
    """What a run has left when its training is done, and the network inside."""
    folder = tmp_path / "runs" / "mine"
    options = [f"student.network.{key}={value}" for key, value in SMALL.items()]
    conf = load("distill", [*options, f"data.root={root}", "tracking=none"])
    torch.manual_seed(0)
    network = build(conf.student.network, "student.network").eval()
    save_weights(network, folder / "student.safetensors")
    (folder / "config.yaml").write_text(config_yaml(conf))
    return folder, network


def test_the_file_of_a_run_with_its_proofs(run: tuple[Path, FaceNetwork], capsys: pytest.CaptureFixture[str]):
    folder, network = run
    (folder.parent / "latest").symlink_to(folder.name)
    assert main(["export", f"run={folder.parent / 'latest'}"]) == 0
    printed = capsys.readouterr().out
    assert "differs from PyTorch by" in printed
    assert "verdict   PASS" in printed
    found = OnnxNetwork(folder / "student.onnx")
    crops = torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(found.embed(crops), network(Preprocessing()(crops)), rtol=1e-4, atol=1e-5)
    assert found.preprocessing_source == "metadata"
    assert json.loads((folder / "check.json").read_text())["preprocessing"].startswith("metadata: RGB")
    assert json.loads((folder / "parity.json").read_text())["batches"] == [1, 2, 7]
    told = {p.key: p.value for p in onnx.load(folder / "student.onnx").metadata_props}
    assert told["run"] == "mine", "the run's own name, not that of the link"


@pytest.mark.slow
def test_another_place_another_protocol(run: tuple[Path, FaceNetwork], tmp_path: Path):
    out = tmp_path / "out"
    options = ["protocol=iqiyi_light", "protocol.max_flops=10", "export.opset=20"]
    assert main(["export", f"run={run[0]}", f"out={out}", *options]) == 1
    assert {p.name for p in out.iterdir()} == {"student.onnx", "parity.json", "check.json"}
    verdict = json.loads((out / "check.json").read_text())
    assert (verdict["verdict"], verdict["protocol"], verdict["opset"]) == ("fail", "iqiyi_light", {"ai.onnx": 20})
    assert {p.name for p in run[0].iterdir()} == {"student.safetensors", "config.yaml"}, "the run is as it was"


@pytest.mark.slow
def test_a_difference_that_is_too_large_fails(run: tuple[Path, FaceNetwork], capsys):
    assert main(["export", f"run={run[0]}", "export.max_relative_difference=1e-12"]) == 2
    error = capsys.readouterr().err
    assert "1e-12" in error
    assert error.count("\n") == 1
    assert not (run[0] / "check.json").exists()


def test_a_run_that_has_not_finished_is_one_line(tmp_path: Path, capsys):
    assert main(["export", f"run={tmp_path}"]) == 2
    assert "holds no student.safetensors" in capsys.readouterr().err


def test_weights_of_another_network_are_one_line(run: tuple[Path, FaceNetwork], capsys):
    folder, _ = run
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("last_channels: 16", "last_channels: 24"))
    assert main(["export", f"run={folder}"]) == 2
    error = capsys.readouterr().err
    assert "student.safetensors" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("opset", [11, 99])
def test_an_opset_that_cannot_be_written_is_one_line(run: tuple[Path, FaceNetwork], opset: int, capsys):
    assert main(["export", f"run={run[0]}", f"export.opset={opset}"]) == 2
    assert f"export.opset is {opset}" in capsys.readouterr().err
