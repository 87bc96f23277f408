"""Generations as tables and words, and through ``metrics.json`` and back."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from distill.report.generations import (
    Generation,
    GenerationFigure,
    generation_notes,
    generation_tables,
    generations_of,
    to_json,
)
from distill.report.terminal import Summary, print_summary

REASONS = [{"text": "lfw: auc fell", "passed": False}, {"text": "check: fine", "passed": True}]
JUDGEMENT = {"verdict": "reject", "reasons": REASONS, "settings": {"confidence": 0.95}}
TWO = [
    Generation(1, "a", [GenerationFigure("lfw", "auc", 0.9), GenerationFigure("cfp", "auc", 0.7)]),
    Generation(
        2,
        "a-g2",
        [GenerationFigure("lfw", "auc", 0.875, -0.025, [-0.04, -0.01]), GenerationFigure("cfp", "auc", 0.75, 0.05)],
        "generation 1 is better than generation 2 by auc on lfw",
        JUDGEMENT,
    ),
]


def test_a_metric_has_its_generations_one_below_the_other_set_by_set():
    assert generation_tables(TWO) == {
        "lfw": [
            ("auc, generation 1", "0.9000", "-", "-"),
            ("auc, generation 2", "0.8750", "-0.0250", "-0.0400 to -0.0100"),
        ],
        "cfp": [("auc, generation 1", "0.7000", "-", "-"), ("auc, generation 2", "0.7500", "+0.0500", "-")],
    }
    assert generation_tables([]) == {}


def test_the_notes_name_the_better_student_the_verdict_and_what_is_against_the_last_one():
    notes = generation_notes(TWO)
    assert "95% confidence" in notes[0]
    assert notes[1:] == [
        "generation 1 is better than generation 2 by auc on lfw; judge: reject",
        "against generation 2: lfw: auc fell",
    ]


def test_generations_come_back_from_metrics_and_a_single_run_has_none():
    assert generations_of(json.loads(json.dumps({"generations": to_json(TWO)}))) == TWO
    assert generations_of({"verdict": "pass"}) == []


def test_the_closing_table_of_a_run_shows_them():
    file = io.StringIO()
    print_summary(Summary(Path("runs/a-g2"), {}, generations=TWO), Console(file=file, width=80))
    text = file.getvalue()
    assert "-0.0400 to -0.0100" in text
    assert "judge: reject" in text
    file = io.StringIO()
    print_summary(Summary(Path("runs/a"), {}), Console(file=file, width=80))
    assert "generation" not in file.getvalue()
