from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from distill.errors import UserError
from distill.protocol.limits import Protocol

FOLDER = Path(__file__).parents[2] / "conf" / "protocol"
EXPECTED = {
    "deepglint_light": (10**9, 20_000_000, 1e-8, "image"),
    "deepglint_large": (30 * 10**9, None, 1e-8, "image"),
    "iqiyi_light": (10**9, 20_000_000, 1e-4, "video"),
    "iqiyi_large": (30 * 10**9, None, 1e-4, "video"),
}


def shipped(name: str) -> Protocol:
    said = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return Protocol(**{field.name: said[field.name] for field in fields(Protocol)})


@pytest.mark.parametrize("name", EXPECTED)
def test_the_four_protocols_as_shipped(name):
    protocol = shipped(name)
    found = (protocol.max_flops, protocol.max_file_bytes, protocol.far_target, protocol.kind)
    assert found == EXPECTED[name]
    assert (protocol.name, protocol.dtype, protocol.embedding_dim) == (name, "float32", 512)
    assert isinstance(protocol.far_target, float)


def test_metric_names_its_rate():
    assert shipped("deepglint_light").metric == "TPR@FPR=1e-08"


@pytest.mark.parametrize(
    "wrong", [{"max_flops": 0}, {"max_file_bytes": -1}, {"embedding_dim": 0}, {"far_target": 0}, {"kind": "audio"}]
)
def test_impossible_limits_are_refused(wrong):
    with pytest.raises(UserError, match="deepglint_light"):
        replace(shipped("deepglint_light"), **wrong)
