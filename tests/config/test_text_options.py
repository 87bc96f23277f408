"""Text stays text: whatever a value of a text option looks like, it arrives letter for letter."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

from distill.cli import main
from distill.config.compose import JOBS, config_yaml, load, read_config, readable
from distill.config.scoring_jobs import VerifyConf
from distill.config.text_options import TextOption, text_option
from distill.config.training_jobs import DistillConf
from distill.errors import UserError

NUMBERS = [
    "2026_11_29",
    "1e5",
    "1E5",
    "0777",
    "0x10",
    "0b1",
    "1:30",
    "12:30:45",
    "1_000",
    ".5",
    "-1",
    "+5",
    "007",
    "5.",
]
WORDS = [
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "False",
    "None",
    "NULL",
    "Null",
    "nan",
    "inf",
    ".inf",
    "2026-11-29",
    "=",
    "<<",
]
SIGNS = ["a b", "a:b", "a: b", "a=b", "=", "a#b", "a #b", "#", "a$b", "$", "${", "a}${b", "{", "}", "{a: 1}", "[", "]"]
MARKS = ["it's", 'say "so"', "'", "a\\b", "a\\", "a\\'b", "a.", "...", "*", "@x", "%", "!x", "&x", "|", "é", "-", "- a"]
VALUES = [*NUMBERS, *WORDS, *SIGNS, *MARKS, "a,b", " a ", "~b", "choice(a)", "range(3)", "a(b)", ""]
JOB_NAMES = sorted(JOBS)


def text_options(conf: type, prefix: str = "") -> Iterator[tuple[str, TextOption]]:
    """Every text option of a job, by its dotted key."""
    for field in dataclasses.fields(conf):
        key = prefix + field.name
        inner = field.default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            yield from text_options(inner, f"{key}.")
        elif (option := text_option(conf, field.name)) is not None:
            yield key, option


def at(conf: Any, key: str) -> Any:
    for name in key.split("."):
        conf = getattr(conf, name)
    return conf


def required(job: str, but: str = "") -> list[str]:
    """A value for everything that the job has no default for."""
    given = {"data.root": "/x", "teacher.weights": "w"}
    for field in dataclasses.fields(JOBS[job].conf):
        given |= {field.name: "x"} if "what" in field.metadata else {}
    return [f"{k}={v}" for k, v in given.items() if k != but and text_option(JOBS[job].conf, k)]


def test_every_name_and_every_file_of_the_schema_is_a_text_option():
    assert {"run.name", "run.root", "data.root", "teacher.weights", "signals", "tracking.tags", "tracking.project"} <= {
        key for key, _ in text_options(DistillConf)
    }
    assert text_option(DistillConf, "seed") is None
    assert text_option(DistillConf, "trainer.precision") is None
    assert text_option(VerifyConf, "pairs") == TextOption(one=True, many=True, path=True)
    assert text_option(DistillConf, "tracking.tags") == TextOption(one=False, many=True)
    assert text_option(DistillConf, "run.name") == TextOption(clears=True)
    assert text_option(DistillConf, "protocol.published.0.who") == TextOption()


@pytest.mark.parametrize("job", JOB_NAMES)
def test_text_options_that_are_paths_are_marked_as_such(job: str):
    """A new option that names a file is one of ``path`` and its like, or stands here."""
    names = {"name", "entity", "project", "group", "tags", "mode", "device", "why", "to", "kind", "source", "dtype"}
    names |= {"main_set", "maps", "init_teacher", "id", "notes", "job_type", "resume"}
    unmarked = {k for k, o in text_options(JOBS[job].conf) if not o.path and k.rpartition(".")[2] not in names}
    assert not unmarked


@pytest.mark.parametrize(
    "job",
    [pytest.param(job, marks=pytest.mark.slow) if job in ("teach", "distill", "nightly") else job for job in JOB_NAMES],
)
def test_hydra_reads_every_value_of_every_text_option_as_it_was_written(job: str):
    parser = OverridesParser.create()
    for key, option in text_options(JOBS[job].conf):
        for value in [v for v in VALUES if option.one]:
            parsed = parser.parse_override(readable(job, [f"{key}={value}"])[0]).value()
            assert OmegaConf.create({"x": _plain(parsed)}).x == value, (key, value)


@pytest.mark.parametrize("job", JOB_NAMES)
def test_lists_keep_every_element(job: str):
    parser = OverridesParser.create()
    elements = [v for v in VALUES if v == v.strip() and v not in ("", "'", "${", "a}${b") and "," not in v]
    for key, option in text_options(JOBS[job].conf):
        if option.many:
            parsed = parser.parse_override(readable(job, [f"{key}=[{', '.join(elements)}, '  a,b']"])[0]).value()
            created = OmegaConf.create({"x": [_plain(p) for p in cast(list, parsed)]})
            assert list(created.x) == [*elements, "  a,b"], key


def _plain(value: Any) -> str:
    assert isinstance(value, str | QuotedString), value
    return value.text if isinstance(value, QuotedString) else value


@pytest.mark.parametrize("job", JOB_NAMES)
def test_a_job_gets_every_text_option_as_it_was_written(job: str):
    options = [(key, option) for key, option in text_options(JOBS[job].conf)]
    values = [v for v in VALUES if v not in ("", "~b")]
    given = {key: values[7 * i % len(values)] for i, (key, option) in enumerate(options) if option.one}
    given |= {key: ["1e5", "no", "0777"] for key, option in options if not option.one}
    given |= {key: "must" for key in given if key == "tracking.resume"}  # one of a few words
    words = [f"{k}={v if isinstance(v, str) else '[' + ','.join(v) + ']'}" for k, v in given.items()]
    conf = load(job, words)
    assert {key: at(conf, key) for key in given} == given


@pytest.mark.parametrize("job", JOB_NAMES)
def test_null_clears_what_may_be_left_out_and_is_a_name_in_quotes(job: str):
    clearing = [k for k, o in text_options(JOBS[job].conf) if o.clears and o.one]
    for word, expected in (("null", None), ("'null'", "null")):
        conf = load(
            job, [*(r for r in required(job) if r.split("=")[0] not in clearing), *(f"{k}={word}" for k in clearing)]
        )
        assert {key: at(conf, key) for key in clearing} == dict.fromkeys(clearing, expected)


def test_null_is_a_name_where_nothing_can_be_left_out():
    assert load("check", ["model=null"]).model == "null"


def test_what_is_quoted_for_hydra_is_read_as_ever():
    assert load("check", ["model='a b'"]).model == "a b"
    assert load("verify", ["model=m", "pairs=['a,b',c]"]).pairs == ["a,b", "c"]


def test_numbers_stay_numbers():
    conf = load("distill", ["seed=1_000", "trainer.optimizer.lr=1e-3", "trainer.small_px=64", "trainer.compile=true"])
    assert (conf.seed, conf.trainer.optimizer.lr, conf.trainer.small_px, conf.trainer.compile) == (1000, 1e-3, 64, True)


def test_a_value_taken_from_another_option_still_is():
    assert load("distill", ["run.name=${student.name}_2026_11"]).run.name == "vargnet_2026_11"


def test_options_of_a_target_are_text_by_its_constructor():
    reader = load("nightly", ["drops=d", "data.reader.drops=2026_11_29"]).data.reader
    assert reader["drops"] == "2026_11_29"
    assert (
        load("distill", ["data=recordio", "data.root=/x", "student.network.embedding_dim=256"]).student.network[
            "embedding_dim"
        ]
        == 256
    )


@pytest.mark.parametrize("key", ["out", "model", "pairs"])
def test_a_home_is_expanded_in_paths(key: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    given = {"model": "m", "pairs": "p", key: "~/faces"}
    assert getattr(load("verify", [f"{k}={v}" for k, v in given.items()]), key) == "/home/me/faces"
    given[key] = "./~x"
    assert getattr(load("verify", [f"{k}={v}" for k, v in given.items()]), key) == "./~x"
    assert load("distill", ["run.name=~x", "run.root=~"]).run.name == "~x"


def test_a_home_is_expanded_in_lists(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert load("verify", ["model=m", "pairs=[~/a.bin,b]"]).pairs == ["/home/me/a.bin", "b"]
    assert load("distill", ["data.transfer=[~/a]"]).data.transfer == ["/home/me/a"]


def test_text_in_a_mapping_of_options():
    conf = load("distill", ["run={name: 2026_11_29, root: 1e5}", "+tracking.tags=[0777]", "export={opset: 17}"])
    assert (conf.run.name, conf.run.root, conf.tracking.tags, conf.export.opset) == ("2026_11_29", "1e5", ["0777"], 17)
    assert load("judge", ["challenger=a", "pairs=b", "judge={margin: {auc: 0.1}}"]).judge.margin.auc == 0.1
    assert load("rollback", ["signing={key: 1_0, trusted: [1e5, no]}"]).signing.trusted == ["1e5", "no"]


def test_an_empty_element_is_refused_by_name():
    with pytest.raises(UserError, match=r"^cannot read 'pairs=\[a,\]': one of the values between commas is empty"):
        load("verify", ["model=m", "pairs=[a,]"])


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Configurations that the check and verify jobs were run with, in place of running them."""
    found: list[Any] = []

    def run(conf: Any) -> int:
        found.append((conf, list(sys.argv)))
        return 0

    monkeypatch.setattr("distill.jobs.check.run", run)
    monkeypatch.setattr("distill.jobs.verify.run", run)
    monkeypatch.setattr("distill.jobs.distill.run", run)
    monkeypatch.setattr(sys, "argv", ["distill"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)
    return found


def test_the_command_that_results_show_is_the_one_that_was_given(seen: list[Any]):
    assert main(["check", "model=2026_11_29", "out=a b=c"]) == 0
    (conf, argv) = seen[0]
    assert (conf.model, conf.out) == ("2026_11_29", "a b=c")
    assert argv == ["face-distill check", "model=2026_11_29", "out=a b=c"]


def test_a_sweep_parts_text_at_commas_alone(seen: list[Any]):
    assert main(["check", "-m", "model=2026_11_29,1e5, a=b ,it's,'x,y',null,a$b", "out=0777"]) == 0
    assert [c.model for c, _ in seen] == ["2026_11_29", "1e5", "a=b", "it's", "x,y", "null", "a$b"]
    assert {c.out for c, _ in seen} == {"0777"}


def test_a_sweep_over_lists_of_files(seen: list[Any]):
    assert main(["verify", "-m", "model=m", "pairs=[1e5,b],c,[0777]"]) == 0
    assert [c.pairs for c, _ in seen] == [["1e5", "b"], "c", ["0777"]]


def test_hydra_s_functions_still_sweep(seen: list[Any]):
    assert main(["check", "-m", "model=choice(1e5, b)", "protocol=glob(iqiyi_l*)"]) == 0
    assert [(c.model, c.protocol.name) for c, _ in seen] == [
        ("1e5", "iqiyi_large"),
        ("1e5", "iqiyi_light"),
        ("b", "iqiyi_large"),
        ("b", "iqiyi_light"),
    ]


@pytest.mark.parametrize("name", ["2026_11_29", "1e5", "on"])
def test_a_file_of_ones_own_may_be_named_like_a_number(seen: list[Any], tmp_path: Path, name: str):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / f"{name}.yaml").write_text("# @package _global_\nrun: {name: 1:30}\n")
    assert main(["distill", f"experiment={name}", "--config-dir", str(tmp_path)]) == 0
    assert seen[0][0].run.name == "1:30"


def test_text_in_an_experiment_and_in_a_group_of_ones_own(seen: list[Any], tmp_path: Path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(
        "# @package _global_\n"
        "defaults: [override /data: 2026_11_29]\n"
        "run: {name: 2026_11_29, root: 1e5}\n"
        "seed: 1_000\n"
        "tracking: {tags: [0777, on, 2026-11-29], project: &p 12:30:45, entity: *p, group: ~}\n"
        "teacher: {card: null, weights: no}\n"
    )
    (tmp_path / "data/2026_11_29.yaml").write_text(
        "defaults: [frozen, _self_]\nname: 0x10\nroot: ${run.root}/007\ntransfer: [1_0]\nreader: {drops: 1_2}\n"
    )
    assert main(["distill", "experiment=mine", "--config-dir", str(tmp_path)]) == 0
    conf: DistillConf = seen[0][0]
    assert (conf.run.name, conf.run.root, conf.seed) == ("2026_11_29", "1e5", 1000)
    assert conf.tracking.tags == ["0777", "on", "2026-11-29"]
    assert (conf.tracking.project, conf.tracking.entity, conf.tracking.group) == ("12:30:45", "12:30:45", None)
    assert (conf.teacher.card, conf.teacher.weights) == (None, "no")
    assert (conf.data.name, conf.data.root, conf.data.transfer) == ("0x10", "1e5/007", ["1_0"])
    assert conf.data.reader["drops"] == "1_2"


def test_no_option_is_text_in_one_job_and_a_number_in_another():
    """Experiments and group files serve several jobs, and are read for all of them at once."""
    text = {key for job in JOBS.values() for key, _ in text_options(job.conf)}
    plain: set[str] = set()

    def other(conf: type, prefix: str = "") -> None:
        for field in dataclasses.fields(conf):
            inner = field.default_factory
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                other(inner, f"{prefix}{field.name}.")
            elif text_option(conf, field.name) is None:
                plain.add(prefix + field.name)

    for job in JOBS.values():
        other(job.conf)
    assert not text & plain


@pytest.mark.parametrize("value", VALUES)
def test_a_stored_configuration_reads_back_letter_for_letter(tmp_path: Path, value: str):
    conf = VerifyConf(model=value, pairs=[value, "b"], out=value)
    (tmp_path / "config.yaml").write_text(config_yaml(conf), encoding="utf-8")
    if value.startswith("~"):
        value = str(Path(value).expanduser()) if value == "~" else value
    assert read_config(tmp_path / "config.yaml", VerifyConf) == conf
