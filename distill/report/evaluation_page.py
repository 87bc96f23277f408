"""``evaluation.md``: what an evaluation by a challenge protocol found, for a person to read and to pass on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.files.atomic import write_page
from distill.redact import redact_text
from distill.report.model_card import markdown_templates


@dataclass(frozen=True)
class EvaluationPage:
    """Contents of the page; ``rows`` are (quantity, this model, limit or what others published)."""

    model: str
    protocol: str
    metric: str
    finished: str
    passed: bool
    reasons: Sequence[str]
    rows: Sequence[tuple[str, str, str]]
    notes: Sequence[str]
    facts: Sequence[tuple[str, str]]
    command: str


def write_evaluation(path: Path, page: EvaluationPage) -> None:
    """Write ``page`` as Markdown; UserError where that is impossible."""
    template = markdown_templates().get_template("evaluation.md.j2")
    write_page(path, template.render(page=page, command=redact_text(page.command)))
