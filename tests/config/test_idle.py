"""Which options are in a run's name: those that change what it makes, and no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from distill.cli import main
from distill.config.compose import config_hash, load
from distill.config.groups import WeightLayout
from distill.config.idle import counted, idle_options, later_options, without
from distill.runs.folder import NOT_COMPARED

JOBS = {
    "distill": load("distill", ["data.root=/x"]),
    "teach": load("teach", ["teacher=r18", "data.root=/x"]),
}
OTHER_BY_NONE: dict[str, Any] = {
    "int | None": 3,
    "float | None": 0.5,
    "bool | None": True,
    "dict[str, Any] | None": {"a": 1},
    "WeightLayout | None": WeightLayout.adaface,
}
OTHER_TEXT = {"allow": "must"}
"""Where not every text is understood."""


def leaves(conf: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted name, value and annotation of every option."""
    for field in dataclasses.fields(conf):
        value = getattr(conf, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value, str(field.type)


def another(value: Any, annotation: str) -> Any:
    """A value of the same type that is not this one."""
    if isinstance(value, Enum):
        return next(one for one in type(value) if one != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return (
            {**value, "other": dataclasses.replace(next(iter(value.values())), weight=9.0)}
            if _terms(value)
            else {**value, "other": 1}
        )
    if isinstance(value, list | tuple):
        return type(value)(v / 2 for v in value) if value and isinstance(value[0], float) else ["other"]
    if value is None:
        return OTHER_BY_NONE.get(annotation, "other")
    if isinstance(value, float):
        return value / 2 or 1.0
    return OTHER_TEXT.get(value, value + "x") if isinstance(value, str) else value + 1


def _terms(value: dict[str, Any]) -> bool:
    return any(dataclasses.is_dataclass(one) for one in value.values())


def changed(conf: Any, option: str, value: Any) -> Any:
    name, _, rest = option.partition(".")
    return dataclasses.replace(conf, **{name: changed(getattr(conf, name), rest, value) if rest else value})


ALL = [(job, *leaf) for job, conf in JOBS.items() for leaf in leaves(conf)]


@pytest.mark.parametrize(("job", "option", "value", "annotation"), ALL, ids=[f"{a[0]}-{a[1]}" for a in ALL])
def test_a_name_changes_with_every_option_that_is_not_idle(job: str, option: str, value: Any, annotation: str):
    conf = JOBS[job]
    if option in NOT_COMPARED:
        pytest.skip("a run does not read it")
    other = changed(conf, option, another(value, annotation))
    idle = any(f"{option}.".startswith(f"{one}.") for one in idle_options(conf))
    assert (config_hash(other) == config_hash(conf)) == idle


def test_the_idle_options_are_these():
    trainer = ["checkpoint_every_steps", "max_loss_growth", "name", "validate_every_steps", "validate_pairs", "workers"]
    shared = [
        "data.image_steps",
        "data.max_damaged",
        "data.pictures",
        "objective.name",
        "run",
        "teacher.check",
        "tracking",
    ]
    shared += [f"trainer.{name}" for name in trainer]
    assert idle_options(JOBS["distill"]) == sorted([*shared, "generations"])
    assert idle_options(JOBS["teach"]) == sorted([*shared, "export", "init_teacher", "protocol"])


def test_an_option_that_came_later_counts_once_it_is_given():
    conf = JOBS["distill"]
    assert later_options(conf) == ["teacher.layout"]
    earlier = {"teacher": {"name": "r152"}, "seed": 1}
    assert counted({"teacher": {"name": "r152", "layout": None}, "seed": 1}, conf) == earlier
    assert counted(earlier, conf, "seed") == {"teacher": {"name": "r152"}}
    given = {"teacher": {"name": "r152", "layout": "adaface"}, "seed": 1}
    assert counted(given, conf) == given


def test_what_is_left_out_of_a_tree_is_that_and_no_more():
    tree = {"a": {"b": 1, "c": 2}, "ab": 3, "d": {"e": {"f": 4}}}
    assert without(tree, ["a.b", "d.e.f", "x.y"]) == {"a": {"c": 2}, "ab": 3, "d": {"e": {}}}
    assert without(tree, ["a", "d.e"]) == {"ab": 3, "d": {}}


@pytest.mark.slow
def test_two_runs_that_differ_in_every_idle_option_make_one_student(options: Callable[..., list[str]], tmp_path: Path):
    told = [
        *(
            "data.image_steps=7",
            "data.max_damaged=3",
            "data.pictures=true",
            "objective.name=mine",
            "teacher.check=false",
        ),
        *("trainer.checkpoint_every_steps=1", "trainer.max_loss_growth=1e3", "trainer.name=mine", "trainer.workers=1"),
        *("trainer.validate_every_steps=1", "trainer.validate_pairs=10", "tracking.project=other"),
    ]
    assert main(["distill", *options("trainer.images=128", "trainer.workers=0", f"run.root={tmp_path / 'a'}")]) == 0
    assert main(["distill", *options("trainer.images=128", *told, f"run.root={tmp_path / 'b'}")]) == 0
    one, other = ((tmp_path / root / "latest").resolve() for root in "ab")
    assert one.name == other.name
    assert (one / "student.safetensors").read_bytes() == (other / "student.safetensors").read_bytes()
    assert idle_options(JOBS["distill"]) == sorted(
        {o.split("=")[0] for o in told if "tracking" not in o} | {"generations", "run", "tracking"}
    )
