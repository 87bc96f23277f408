"""``make check model=FILE.onnx``: judge any ONNX file by the limits of a protocol."""

from __future__ import annotations

import logging
from pathlib import Path

from distill.config.training_jobs import CheckConf
from distill.errors import UserError
from distill.files.network_file import NetworkFile
from distill.protocol.verdict import judge
from distill.report.terminal import print_check
from distill.runs.check import expected_preprocessing, limits, write_check
from teachers.onnx_network import OnnxNetwork

_log = logging.getLogger(__name__)


def run(conf: CheckConf) -> int:
    """Print the table, write ``check.json``; 0 for pass, 1 for fail."""
    model = NetworkFile(Path(conf.model))
    verdict = judge(model, limits(conf.protocol))
    expects = expected_preprocessing(model)
    print_check(verdict.rows(), verdict.passed, verdict.reasons)
    print(f"preprocessing: {expects}")
    _try(model)
    write_check(verdict, expects, Path(conf.out) if conf.out else model.path.parent)
    return 0 if verdict.passed else 1


def _try(model: NetworkFile) -> None:
    """Print where the file runs differently from its declaration, or not at all; limits are checked on the graph."""
    try:
        OnnxNetwork(model)
    except UserError as trouble:
        _log.warning("%s", trouble)
