"""Verdicts are kept whole, counted by kind, and refused where they are of other data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.nightly.freeze import freeze
from distill.nightly.vetting_result import MOST_RECORDED, Finding, Verdicts, read_verdicts, write_verdicts
from reference.drops import jpeg


def test_they_come_back_and_are_counted(drops: Path, put: Callable[..., Path], tmp_path: Path):
    put("d", {"anna/1.jpg": jpeg(1, 1)})
    manifest = freeze(drops, None)
    kinds = ["damaged", "duplicate", "contradiction", "duplicate", "doubtful_label", "split_person", "empty_drop"]
    findings = [Finding(kind, "d", f"{k}.jpg", "a sentence") for k, kind in enumerate(kinds)]  # pyright: ignore
    verdicts = Verdicts(manifest.data_sha256(), {"d": ["a", "b"], "c": ["x"]}, findings)
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path, manifest) == verdicts
    told = verdicts.summary()
    assert (told.damaged, told.duplicates, told.doubtful_labels, told.split_people, told.unlabelled) == (1, 3, 1, 1, 3)


def test_a_record_tells_so_many_and_no_more():
    findings = [Finding("damaged", "d", f"{k}.jpg", "torn") for k in range(MOST_RECORDED + 5)]
    told = Verdicts("", {}, findings).summary()
    assert told.damaged == MOST_RECORDED + 5
    assert len(told.findings) == MOST_RECORDED
    assert told.findings[0] == Finding("damaged", "d", "0.jpg", "torn")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"findings": [{"kind": "odd", "drop": "", "file": "", "text": ""}]}', "{}"]
)
def test_what_is_none_is_refused(drops: Path, tmp_path: Path, text: str):
    (tmp_path / "vetting.json").write_text(text)
    with pytest.raises(UserError, match=r"vetting.json: .*; expected what `make nightly` wrote"):
        read_verdicts(tmp_path, freeze(drops, None))
