"""What stages leave comes back from its JSON, with the keys that records have had from the first night on."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.judge.judgement import Judgement, Reason
from distill.nightly.records import STAGES, Record
from distill.nightly.results import (
    RESULTS,
    CheckResult,
    FreezeResult,
    JudgeResult,
    NightResults,
    ParityResult,
    PromoteResult,
    SetScores,
    StageResult,
    TrainResult,
    VerifyResult,
    VetResult,
)
from distill.nightly.vetting_result import Finding

GOLDEN = Path(__file__).parents[1] / "golden" / "left_behind.txt"
REASON = Reason("main", "auc", "holds", "better", "lfw", "all", 0.9, 0.95, 0.05, (0.01, 0.09), 0.01)
SCORES = SetScores(pairs=24, accuracy_mean=0.9, accuracy_std=0.1, auc=0.95, tpr_at_fpr={"0.01": 0.5, "0.001": None})
LEFT = [
    *(kind() for kind in RESULTS.values() if kind is not JudgeResult),
    FreezeResult(images=3, people=2, drops=["d"], data_sha256="ab"),
    VetResult(damaged=1, findings=[Finding("damaged", "d", "a.jpg", "is torn")]),
    TrainResult("champion", "v0001", image_steps=9),
    VerifyResult({"lfw": SCORES}, {"lfw": SCORES}, "v0001", {"champion": "cd"}),
    JudgeResult(Judgement((REASON,), {"lfw": {"pairs": 24}}, {"fpr": 0.1})),
    PromoteResult("promoted", "v0002", "v0001"),
]


@pytest.mark.parametrize("left", LEFT, ids=lambda left: left.STAGE)
def test_what_a_stage_leaves_comes_back_from_its_record(left: StageResult):
    raw = json.loads(json.dumps(left.to_json(), allow_nan=False))
    assert raw["format"] == 1
    assert type(left).read(raw).to_json() == type(left).read(left.to_json()).to_json() == left.to_json()
    del raw["format"]  # as in the records of before there were versions
    assert type(left).read(raw).facts() == left.facts()


def test_every_stage_leaves_a_type_of_its_own():
    assert tuple(RESULTS) == STAGES == tuple(one.name for one in fields(NightResults))


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "judge"])
def test_keys_are_those_that_records_have_had(stage: str):
    told = re.findall(rf"/\d\d-{stage}\.json: result\.(\w+)", GOLDEN.read_text("utf-8"))
    assert set(told) <= {"format", *RESULTS[stage].from_json({}).facts()}


def test_a_half_done_night_has_what_is_done():
    record = Record("train", {}, {}, {"start": "anew", "from": None, "image_steps": 32}, "", 1.0)
    found = NightResults.of({"train": record})
    assert found.train == TrainResult("anew", image_steps=32)
    assert found.promote is None


def test_a_record_without_a_verdict_is_no_pass():
    assert not ParityResult.read({"min_cosine": 1.0}).passed
    assert not CheckResult.read({"flops": 9}).passed
    assert not PromoteResult.read({"version": "v0001"}).promoted


def test_what_a_record_has_beyond_the_fields_is_ignored():
    """Early records hold all of a score of ``make verify``."""
    early = {"sets": {"lfw": {**asdict(SCORES), "threshold": 1.2}}, "champion": None, "seconds": 1.0}
    assert VerifyResult.read(early) == VerifyResult({"lfw": SCORES})


def test_an_early_reason_has_its_finding_from_whether_it_passed():
    early = {"kind": "main", "metric": "auc", "text": "worse", "passed": False, "interval": [0.1, 0.2]}
    assert Reason.from_json(early) == Reason("main", "auc", "fails", "worse", interval=(0.1, 0.2))
    assert Reason.from_json({**early, "passed": True}).finding == "holds"


def test_a_record_of_a_newer_version_is_refused():
    with pytest.raises(UserError, match=r"stage freeze has format 2; expected 1"):
        FreezeResult.read({"format": 2, "pictures": 7})
    with pytest.raises(UserError, match=r"stage check has format 2"):
        NightResults.from_json({"check": {"format": 2}})
