"""``make judge champion=A.onnx|RUN challenger=B.onnx|RUN pairs=FILE.bin``: would it be promoted, and why."""

from __future__ import annotations

from pathlib import Path

from distill.config.groups import ProtocolConf
from distill.config.scoring_jobs import JudgeJobConf
from distill.data.pairs import pair_files
from distill.files.atomic import write_json
from distill.files.json_file import read_json
from distill.files.network_file import NetworkFile
from distill.files.writable import require_writable
from distill.judge.decide import Facts, Requirement
from distill.judge.scoring import Rivals, judge_models
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
    challenger = NetworkFile(model_file(conf.challenger))
    champion = None if conf.champion is None else NetworkFile(model_file(conf.champion))
    out = require_writable((Path(conf.out) if conf.out else challenger.path.parent) / FILE)
    facts = Facts(checked(challenger, conf.protocol), recorded_parity(challenger.path), conf.newer_data)
    anchor = None if conf.judge.anchor is None else NetworkFile(model_file(conf.judge.anchor))
    models = Rivals(challenger, champion, anchor)
    found = judge_models(models, pair_files(conf.pairs), conf.judge, facts, conf.batch_size)
    print_judgement(found.tables(), found.promoted, [reason.text for reason in found.against])
    files: dict[str, NetworkFile | None] = {"challenger": challenger, "champion": champion, "anchor": anchor}
    about = {who: file and str(file.path) for who, file in files.items()}
    about |= {f"{who}_sha256": file and file.sha256 for who, file in files.items()}
    write_json(out, {**about, **found.to_json()})
    return 0 if found.promoted else 1


def checked(model: NetworkFile, protocol: ProtocolConf) -> Requirement:
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
