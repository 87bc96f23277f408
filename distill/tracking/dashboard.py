"""``make dashboard``: the runs of this machine at a glance, and the ways to see more of them.

Works offline and without W&B; ``--push entity/project`` makes the panels of ``distill.tracking.panels`` a workspace
on the W&B server, ``--push-nights`` those of ``distill.tracking.panels`` a workspace and a report, ``--panels``
prints them. ``--deliver nightly`` sends what waits in the outbox of the nights.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from distill.errors import UserError
from distill.files.json_file import read_json
from distill.format import percent_cell
from distill.tracking.outbox import Outbox, deliver
from distill.tracking.panels import NIGHT_SECTIONS, SECTIONS, as_markdown
from distill.tracking.wandb_settings import TrackingMode, WandbSettings
from distill.tracking.wandb_variables import read_variables
from distill.tracking.workspace import push, push_nights

METRICS_FILE = "metrics.json"
DELIVER_S = 600.0
_MARKER = "config.yaml"  # what makes a folder a run
_SKIPPED = {"wandb", "checkpoints"}

HELP = """\
In the terminal, offline       wandb leet {runs}/NAME/wandb
As numbers, offline            wandb leet inspect --summary --json {runs}/NAME/wandb
In a browser, offline          {runs}/NAME/report.html
Send finished runs to W&B      wandb sync {runs}/*/wandb/offline-run-*
A resumed run has one folder for each start; sync them together, they have one id.
Panels on the server           make dashboard ARGS="--push ENTITY/PROJECT\""""


@dataclass(frozen=True)
class RunLine:
    """One run folder: state is the verdict, or what there is instead of one. Accuracies are fractions."""

    name: str
    state: str
    student: float | None = None
    teacher: float | None = None


def main(argv: Sequence[str]) -> int:
    """Print the runs and how to see them; returns the exit status. Raises UserError."""
    options = _parser().parse_args(argv)
    console = Console(highlight=False)
    if options.push:
        console.print(f"workspace: {push(options.push)}", markup=False, soft_wrap=True)
        return 0
    if options.push_nights:
        for what, address in zip(("workspace", "report"), push_nights(options.push_nights), strict=True):
            console.print(f"{what}: {address}", markup=False, soft_wrap=True)
        return 0
    if options.panels:
        console.print(as_markdown((*SECTIONS, *NIGHT_SECTIONS)), markup=False, soft_wrap=True)
        return 0
    if options.deliver:
        return _deliver(options.deliver, options.project, console)
    show(options.runs, console)
    return 0


def _deliver(root: Path, project: str | None, console: Console) -> int:
    """Send what waits in the outbox below ``root``, online; 1 where some of it still waits."""
    entity, _, name = (project or "").rpartition("/")
    given = {"mode", *(["project"] if name else []), *(["entity"] if entity else [])}
    found = read_variables(os.environ, given, service=True)
    if found.report:
        console.print(f"W&B: {found.report}", markup=False, soft_wrap=True)
    options = {"project": "face-distill", "entity": "", **found.options}
    settings = WandbSettings(
        mode=TrackingMode.online,
        project=name or str(options["project"]),
        entity=entity or str(options["entity"]) or None,
    )
    waiting = len(Outbox(root).pending())
    done = deliver(root, settings, DELIVER_S)
    console.print(f"{waiting - len(Outbox(root).pending())} of {waiting} events delivered", markup=False)
    return 0 if done else 1


def show(root: Path, console: Console) -> None:
    """The table of the runs under ``root``, the newest last, and the commands."""
    lines = [read_run(folder, root) for folder in run_folders(root)]
    if lines:
        console.print(_table(lines, console), markup=False, highlight=False)
    else:
        console.print(f"no runs under {root} yet; `make distill` makes the first", markup=False, soft_wrap=True)
    console.print(HELP.format(runs=root), markup=False, highlight=False, soft_wrap=True)


def run_folders(root: Path) -> list[Path]:
    """All run folders below ``root``, multirun's nested ones too, the most lately changed last."""
    return sorted(_walk(root), key=lambda folder: (folder / _MARKER).stat().st_mtime)


def read_run(folder: Path, root: Path) -> RunLine:
    """Contents of ``metrics.json`` of a run; a run without one has not finished."""
    name = str(folder.relative_to(root))
    path = folder / METRICS_FILE
    if not path.exists():
        return RunLine(name, "not finished")
    try:
        metrics = read_json(path)
    except UserError:
        return RunLine(name, f"unreadable {METRICS_FILE}")
    verdict = metrics.get("verdict") if isinstance(metrics, dict) else None
    return RunLine(name, verdict or "no verdict", _accuracy(metrics, "student"), _accuracy(metrics, "teacher"))


def _accuracy(metrics: Any, network: str) -> float | None:
    scores = metrics.get(network) if isinstance(metrics, dict) else None
    return scores.get("accuracy_mean") if isinstance(scores, dict) else None


def _walk(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):  # follows no links: runs/latest is one
        below[:] = [name for name in below if name not in _SKIPPED]
        if _MARKER in files:
            below.clear()
            yield Path(folder)


def _table(lines: Sequence[RunLine], console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII)
    table.add_column("run", overflow="fold")
    for column in ("verdict", "student", "teacher"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(line.name, line.state, percent_cell(line.student), percent_cell(line.teacher))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="distill dashboard", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=_folder, default="runs", metavar="DIR", help="where the run folders are")
    parser.add_argument("--push", metavar="ENTITY/PROJECT", help="save the panels as a W&B workspace")
    parser.add_argument(
        "--push-nights", metavar="ENTITY/PROJECT", help="save the nights' panels as workspace and report"
    )
    parser.add_argument("--deliver", type=_folder, metavar="DIR", help="send what waits in the outbox of these nights")
    parser.add_argument(
        "--project", metavar="[ENTITY/]PROJECT", help="where --deliver sends it; else WANDB_PROJECT, face-distill"
    )
    parser.add_argument("--panels", action="store_true", help="print the panels as a Markdown table")
    return parser


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: this is a file; expected the folder that holds the runs, or the nights")
    return path
