from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from distill.export.onnx_file import Exported
from distill.export.parity import Parity
from distill.metrics.verification import verify
from distill.report.model_card import ModelCard, write_model_card
from distill.report.run_page import CostRow
from distill.report.scores import VerificationScores
from distill.types import Preprocessing


@pytest.fixture
def card() -> ModelCard:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 40, 8))
    same = np.arange(40) % 2 == 0
    return ModelCard(
        name="vargnet",
        run="runs/one",
        finished="2026-11-24",
        command="make distill tracking.token=PLANTED",
        model_file="student.onnx",
        opset=18,
        embedding_dim=64,
        preprocessing=Preprocessing(),
        weights_sha256="ab" * 32,
        protocol="deepglint_light",
        passed=True,
        reasons=[],
        cost=[CostRow("Counter-FLOPs", 995_510_728, 10**9, "FLOPs")],
        scores=VerificationScores.from_json(verify(left, np.where(same[:, None], left, right), same).to_json()),
        parity=Parity(1e-5, 1e-6, 1e-9, 16, (1, 2, 7)),
        data="12,292 photographs",
        teacher="r152",
        licences=["The data are for research only."],
    )


def _text(tmp_path: Path, card: ModelCard) -> str:
    write_model_card(tmp_path / "card.md", card)
    return (tmp_path / "card.md").read_text(encoding="utf-8")


def test_it_says_what_one_needs_to_know(card: ModelCard, tmp_path: Path) -> None:
    text = _text(tmp_path, card)
    for words in ("995.5 MFLOPs", "ab" * 32, "12,292 photographs", "research only", "light: **pass**", "Accuracy"):
        assert words in text
    assert "PLANTED" not in text


def test_without_scores_or_licence(card: ModelCard, tmp_path: Path) -> None:
    text = _text(tmp_path, replace(card, scores=None, parity=None, licences=[], passed=False, reasons=["too large"]))
    for words in ("Not scored", "Not stated", "**fail**", "- too large"):
        assert words in text


def test_text_from_outside_stays_text(card: ModelCard, tmp_path: Path) -> None:
    text = _text(tmp_path, replace(card, name="<b>|x`\n# y", cost=[CostRow("a|b\nc", 1, 2)]))
    assert text.startswith("# &lt;b>\\|x' # y\n")
    assert "| a\\|b c | 1 | 50.0 % of 2 |" in text


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_its_example_works(
    card: ModelCard, exported: Exported, network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    order: Literal["rgb", "bgr"],
) -> None:  # fmt: skip
    preprocessing = Preprocessing(order)
    rgb = torch.randint(0, 256, (1, 3, 112, 112), dtype=torch.uint8)
    cv2.imwrite(str(tmp_path / "face.png"), rgb[0].permute(1, 2, 0).numpy()[..., ::-1])
    code = re.search(r"```python\n(.*?)```", _text(tmp_path, replace(card, preprocessing=preprocessing)), re.DOTALL)
    assert code is not None
    (tmp_path / "student.onnx").write_bytes(exported.path.read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code[1], names)
    pixels = preprocessing(rgb)
    with torch.no_grad():
        expected = nn.functional.normalize(network(pixels) + network(pixels.flip(3)))[0]
    np.testing.assert_allclose(names["embedding"], expected.numpy(), atol=1e-5)
    assert len(code[1].strip().splitlines()) <= 11
