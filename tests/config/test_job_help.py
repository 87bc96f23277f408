"""``JOB --help``: every line of an option explains it, every choice says what it is for, both examples are shown."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest

from distill.cli import main
from distill.config.compose import conf_dir
from distill.config.job_help import comment
from distill.config.jobs import JOBS
from reference.option_fields import fields_below


@cache
def help_of(*arguments: str) -> list[str]:
    output = io.StringIO()
    with redirect_stdout(output):
        assert main([*arguments, "--help"]) == 0
    return output.getvalue().splitlines()


def _older(options: list[str]) -> list[str]:
    return [line.partition("Older name: ")[2].rstrip(".") for line in options]


@pytest.mark.parametrize("job", JOBS)
def test_every_line_of_an_option_has_an_explanation(job: str):
    lines = help_of(job)
    start = lines.index("options, KEY=VALUE; ??? has to be given:")
    options = lines[start + 1 : lines.index("", start)]
    assert [line for line in options if len(line.split(maxsplit=1)) < 2] == []
    assert not [line for line in options if "``" in line]
    assert {f"  python -m distill {job} {example}" for example in JOBS[job].examples} <= {*lines}
    shown = {line.split()[0].partition("=")[0] for line in options}
    assert {name for name, _, _ in fields_below(JOBS[job].conf) if "." not in name} <= {*shown, *_older(options)}


def test_the_line_is_the_docstring_below_the_field():
    (line,) = [line for line in help_of("contact_sheet") if line.strip().startswith("side_px=")]
    assert line.split(maxsplit=1) == ["side_px=168", "Side of one face; the data set has 112."]


def test_a_group_lists_its_choices_with_their_purpose():
    lines = help_of("check", "protocol=iqiyi_light")
    assert "  * iqiyi_light      LFR 2019, video, light track: TPR at FPR 1e-4." in lines
    assert "    deepglint_light  LFR 2019, still images, light track: TPR at FPR 1e-8." in lines
    assert any(line.startswith("  protocol.target_fpr=0.0001 ") for line in lines)


def test_options_of_a_class_are_shown_with_their_types():
    lines = help_of("distill")
    (line,) = [line for line in lines if line.strip().startswith("student.network.widths=")]
    assert line.endswith("of VarGNet: a list of int")


def test_both_trainers_of_a_night_are_groups():
    lines = help_of("nightly")
    assert "  trainer@continued" in lines
    assert any(line.startswith("  * continue ") for line in lines)


def test_a_folder_of_one_s_own_is_listed(tmp_path: Path):
    (tmp_path / "protocol").mkdir()
    own = (conf_dir() / "protocol/iqiyi_light.yaml").read_text().partition("\n")[2]
    (tmp_path / "protocol/mine.yaml").write_text(f"# Limits of my own phone.\n{own}")
    lines = help_of("check", "protocol=mine", "-cd", str(tmp_path))
    assert any(line.split(maxsplit=2) == ["*", "mine", "Limits of my own phone."] for line in lines)


def test_a_mistake_beside_help_is_explained(capsys: pytest.CaptureFixture[str]):
    assert main(["check", "--help", "protocol=iqiy_light"]) == 2
    assert "did you mean 'iqiyi_light'" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted(conf_dir().rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_says_what_it_is_for(file: Path):
    assert len(comment(file)) > 10


def test_the_purpose_is_one_sentence_over_all_its_lines(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("# @package x\n# Limits of\n# one phone. Not of others.\nside: 3\n# The end.\n")
    assert comment(tmp_path / "a.yaml") == "Limits of one phone."


def test_values_are_spelled_as_on_the_command_line():
    values = {line.split()[0].partition("=")[2] for line in help_of("nightly") if line.startswith("  ")}
    assert {"null", "true"} <= values
    assert not values & {"None", "True", "False"}


def test_lines_are_wrapped_in_a_terminal_and_not_in_a_pipe(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "90")
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert main(["check", "--help"]) == 0
    wrapped = terminal.getvalue().splitlines()
    start = wrapped.index("options, KEY=VALUE; ??? has to be given:")
    assert max(map(len, wrapped[start:-1])) <= 90
    assert " ".join(" ".join(wrapped).split()) == " ".join(" ".join(help_of("check")).split())
