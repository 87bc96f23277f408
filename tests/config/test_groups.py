"""The schemas hold no unused option: a knob connected to nothing is a bug."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path

from distill.config import groups as schema
from distill.config import scoring_jobs as judge_schema
from distill.config import scoring_jobs as scoring_schema
from distill.config import service_jobs as nightly_schema
from distill.config import service_jobs as nights_schema
from distill.config import service_jobs as registry_schema
from distill.config import training_jobs as side_schema
from distill.config.compose import JOBS

SCHEMAS = (judge_schema, nightly_schema, nights_schema, registry_schema, schema, scoring_schema, side_schema)


def conf_classes() -> list[type]:
    found = {c for s in SCHEMAS for _, c in inspect.getmembers(s, inspect.isclass) if dataclasses.is_dataclass(c)}
    return sorted(found, key=lambda c: c.__name__)


def attributes_read(folder: Path) -> set[str]:
    """All names that stand behind a dot and are read, anywhere in the sources below ``folder``."""
    sources = [p for p in folder.rglob("*.py") if p.stem not in {s.__name__.rpartition(".")[2] for s in SCHEMAS}]
    nodes = [n for p in sources for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))]
    return {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}


def options_quoted(folder: Path) -> set[str]:
    """The last names of all ``${a.b}`` in the configuration: what one option takes from another."""
    return {n for p in folder.rglob("*.yaml") for n in re.findall(r"\$\{(?:\w+\.)*(\w+)\}", p.read_text("utf-8"))}


def test_every_option_is_read_somewhere(repository: Path):
    read = attributes_read(repository / "distill") | attributes_read(repository / "teachers")
    read |= options_quoted(repository / "conf")
    unread = [f"{c.__name__}.{f.name}" for c in conf_classes() for f in dataclasses.fields(c) if f.name not in read]
    assert not unread


def test_every_class_belongs_to_a_job():
    reached: set[type] = set()

    def reach(conf: type) -> None:
        reached.add(conf)
        for field in dataclasses.fields(conf):
            for inner in conf_classes():
                if inner not in reached and inner.__name__ in str(field.type):
                    reach(inner)

    for job in JOBS.values():
        reach(job.conf)
    assert reached == set(conf_classes())
