"""A table of ways of training over seeds: rows that are run once and kept as JSON, and their Markdown."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilling import distilled, machine
from paired_runs import differences, run_figures, scores_of

from distill.config.compose import load
from distill.files.atomic import write_json
from distill.runs.folder import CONFIG, METRICS
from distill.runs.folder import differences as other_options

COLUMNS = {"auc": ("ROC AUC", 1, 4), "tpr_at_fpr": ("TPR at FPR 0.01, %", 100, 1), "accuracy": ("accuracy, %", 100, 1)}
"""Heading, factor and digits of each metric."""


@dataclass(frozen=True)
class Row:
    """One way of training: what it is in words, its options, and which of a command's runs is meant.

    ``run`` is the name of the runs, where several rows are made by the same commands; ``end`` is the end of the name
    of a generation.
    """

    words: str
    options: Sequence[str]
    run: str = ""
    end: str = ""


@dataclass(frozen=True)
class Table:
    """Rows by name, the first one the baseline; ``folds`` are those of the accuracy.

    ``images`` is the length of every run in samples seen, ``options`` are further overrides of all.
    """

    name: str
    rows: Mapping[str, Row]
    folds: int
    images: int
    seeds: int
    options: Sequence[str] = ()

    @property
    def baseline(self) -> str:
        return next(iter(self.rows))

    def run(self, row: str, seed: int) -> str:
        """The name of the command's run; ``run.name`` of all its options."""
        return f"{self.rows[row].run or row}-{self.images}-{seed}"

    def folder(self, runs: Path, row: str, seed: int) -> Path:
        """The run that is scored."""
        return runs / f"{self.run(row, seed)}{self.rows[row].end}"


def filled(table: Table, common: Sequence[str], place: Path, runs: Path, jobs: int, command: str) -> dict[str, Any]:
    """The rows of the table, run where ``place`` (JSON) does not hold them; it is written after every row.

    Runs lie below ``runs``; ``common`` are the options of all.
    """
    rows = _stored(place, table)
    missing = [row for row in table.rows if row not in rows]
    wanted = {row: None for row in (table.baseline, *missing)} if missing else {}
    shared = [*common, f"trainer.images={table.images}", *table.options]
    commands: dict[str, list[str]] = {}
    for row, seed in itertools.product(wanted, _seeds(table)):
        options = [*shared, f"seed={seed}", *table.rows[row].options]  # a row may have a length of its own
        if _is_finished(table.folder(runs, row, seed)):
            _require_same(runs / table.run(row, seed), options)
        else:
            commands[table.run(row, seed)] = options
    for name, _ in distilled(commands, runs, jobs):
        print(f"{name}: finished", flush=True)
        _complete(table, missing, rows, runs, place, command)
    _complete(table, missing, rows, runs, place, command)
    return rows


def _seeds(table: Table) -> range:
    return range(1, table.seeds + 1)


def _require_same(run: Path, options: Sequence[str]) -> None:
    """End where a finished run of that name had other options."""
    for key, (theirs, ours) in other_options(run / CONFIG, load("distill", options)).items():
        raise SystemExit(f"{run} has {key}: {theirs}, and this table {ours}; give the same options, or move it away")


def _is_finished(folder: Path) -> bool:
    return (folder / METRICS).exists()


def _stored(place: Path, table: Table) -> dict[str, Any]:
    if not place.exists():
        return {}
    stored = json.loads(place.read_text())
    ours = {"seeds": table.seeds, "options": [*table.options]}
    if other := {key: stored[key] for key in ours if stored[key] != ours[key]}:
        raise SystemExit(f"{place} has {other}; expected {ours}: give these options, or move it away")
    return {row: stored["rows"][row] for row in table.rows if row in stored["rows"]}


def _complete(
    table: Table, missing: Sequence[str], rows: dict[str, Any], runs: Path, place: Path, command: str
) -> None:
    """Add each row whose runs, and those of the baseline, are all finished; write what there is."""
    for row in missing:
        folders = {who: [table.folder(runs, who, seed) for seed in _seeds(table)] for who in (row, table.baseline)}
        if row in rows or not all(_is_finished(folder) for both in folders.values() for folder in both):
            continue
        scores = {who: [scores_of(folder) for folder in found] for who, found in folders.items()}
        rows[row] = {
            "seeds": [
                {**run_figures(one, table.folds), **_cost(folder)}
                for one, folder in zip(scores[row], folders[row], strict=True)
            ],
            "difference": None
            if row == table.baseline
            else differences(scores[row], scores[table.baseline], table.folds),
        }
        kept = {name: rows[name] for name in table.rows if name in rows}
        write_json(
            place,
            {"command": command, "machine": machine(), "seeds": table.seeds, "options": [*table.options], "rows": kept},
        )


def _cost(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / METRICS).read_text())
    return {"training_s": metrics["training_s"], "image_steps": metrics["machine"]["image_steps"]}


def markdown(table: Table, rows: Mapping[str, Any]) -> str:
    """Mean over seeds with the lowest and highest, then the difference to the first row with its 95 % interval."""
    heads = [f"{words} | difference, 95 %" for words, _, _ in COLUMNS.values()]
    lines = [f"| {table.name} | {' | '.join(heads)} |", "|---" * (1 + 2 * len(COLUMNS)) + "|"]
    lines += [f"| {table.rows[name].words} | {' | '.join(_cells(rows[name]))} |" for name in table.rows if name in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    for metric, (_, factor, digits) in COLUMNS.items():
        found = [factor * seed[metric] for seed in row["seeds"]]
        yield f"{statistics.mean(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f})"
        if row["difference"] is None:
            yield "-"
            continue
        value, low, high = (factor * row["difference"][metric][end] for end in ("value", "low", "high"))
        yield f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
