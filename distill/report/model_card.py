"""The model card of a student: ``card.md``, what somebody needs who gets the ONNX file and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.export.parity import Parity
from distill.files.atomic import write_page
from distill.redact import redact_text
from distill.report.run_page import CostRow
from distill.report.scores import VerificationScores
from distill.shown import shown
from distill.types import Preprocessing


@dataclass(frozen=True)
class ModelCard:
    """Contents of the card. ``data`` and ``teacher`` are sentences; ``licences`` and ``limits`` lists of them."""

    name: str
    run: str
    finished: str
    command: str
    model_file: str
    opset: int
    embedding_dim: int
    preprocessing: Preprocessing
    weights_sha256: str
    protocol: str
    passed: bool
    reasons: Sequence[str]
    cost: Sequence[CostRow]
    scores: VerificationScores | None
    parity: Parity | None
    data: str
    teacher: str
    licences: Sequence[str]
    limits: Sequence[str] = ()


def write_model_card(path: Path, card: ModelCard) -> None:
    """Write ``card`` as Markdown; UserError where that is impossible."""
    text = markdown_templates().get_template("card.md.j2").render(card=card, command=redact_text(card.command))
    write_page(path, text)


def markdown_templates() -> Environment:
    """Templates whose values can break nothing of the Markdown around them."""
    return Environment(
        loader=PackageLoader("distill.report"),
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML: _plain does what is needed here
    )


def _plain(value: object) -> str:
    """A value as text that opens no tag, ends no table cell or code block and stays on its line."""
    text = shown(" ".join(str(value).split()))
    return text.replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
