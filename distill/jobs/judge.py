"""``make judge champion=A.onnx|RUN challenger=B.onnx|RUN pairs=FILE.bin``: would it be promoted, and why."""

from __future__ import annotations

from pathlib import Path

from distill.config.groups import ProtocolConf
from distill.config.scoring_jobs import JudgeJobConf
from distill.data.pairs import pair_files
from distill.files.atomic import read_json, write_json
from distill.files.network_file import network_sha256
from distill.files.writable import require_writable
from distill.judge.decide import Facts, Requirement
from distill.judge.scoring import judge_models
from distill.protocol.verdict import judge as judge_file
from distill.report.terminal import print_judgement
from distill.runs.check import limits
from distill.runs.folder import METRICS
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least

FILE = "judge.json"


def run(conf: JudgeJobConf) -> int:
    """Print the reasons, write ``judge.json``; 0 for promote, 1 for reject."""
    require_at_least(conf, batch_size=1)
    challenger = model_file(conf.challenger)
    champion = None if conf.champion is None else model_file(conf.champion)
    out = require_writable((Path(conf.out) if conf.out else challenger.parent) / FILE)
    facts = Facts(checked(challenger, conf.protocol), recorded_parity(challenger), conf.newer_data)
    found = judge_models(challenger, champion, pair_files(conf.pairs), conf.judge, facts, conf.batch_size)
    print_judgement(found.tables(), found.promoted, [reason.text for reason in found.against])
    anchor = None if conf.judge.anchor is None else model_file(conf.judge.anchor)
    models = {"challenger": challenger, "champion": champion, "anchor": anchor}
    about: dict[str, str | None] = {who: None if path is None else str(path) for who, path in models.items()}
    about |= {f"{who}_sha256": None if path is None else network_sha256(path) for who, path in models.items()}
    write_json(out, {**about, **found.to_json()})
    return 0 if found.promoted else 1


def checked(model: Path, protocol: ProtocolConf) -> Requirement:
    """Whether the file keeps the limits of the protocol."""
    verdict = judge_file(model, limits(protocol))
    return Requirement(verdict.passed, "; ".join(verdict.reasons) or f"within the limits of {protocol.name}")


def recorded_parity(model: Path) -> Requirement:
    """What the run that made the file found; a run whose file differs from its network does not finish."""
    path = model.parent / METRICS
    if not path.is_file():
        return Requirement(True, f"not known, {model.parent} is no finished run; `make export` measures it")
    metrics = read_json(path)
    parity = metrics.get("parity") if isinstance(metrics, dict) else None
    if not isinstance(parity, dict) or "max_relative" not in parity:
        return Requirement(True, f"not known, {path} does not contain it; `make export` measures it")
    return Requirement(True, f"largest relative difference from the network {parity['max_relative']:.2g}")
