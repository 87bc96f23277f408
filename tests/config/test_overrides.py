"""Overrides as Hydra is given them: text in quotes, all else as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.config.compose import conf_dir
from distill.config.overrides import escaped, letter_for_letter, literal, quoted
from distill.config.scoring_jobs import VerifyConf
from distill.config.training_jobs import DistillConf
from distill.errors import UserError


def given(*overrides: str, conf: type = DistillConf, sweep: bool = False) -> list[str]:
    return letter_for_letter(conf, overrides, sweep, conf_dir())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("run.name=2026_11_29", "run.name='2026_11_29'"),
        ("run.name=a=b", "run.name='a=b'"),
        ("+tracking.tags=[0777, a b]", "+tracking.tags=['0777','a b']"),
        ("run.name=it's", r"run.name='it\'s'"),
        ("run.name=null", "run.name=null"),
        ("run.root=null", "run.root='null'"),
        ("run.name='null'", "run.name='null'"),
        ("run.name=${student.name}", "run.name='${student.name}'"),
        ("student=mobilefacenet", "student='mobilefacenet'"),
        ("run={name: 1e5, root: r}", None),
        ("seed=1_000", "seed=1_000"),
        ("trainer.optimizer.lr=1e-3", "trainer.optimizer.lr=1e-3"),
        ("~tracking", "~tracking"),
        ("-m", "-m"),
    ],
)
def test_text_is_quoted_and_numbers_are_not(written: str, read: str | None):
    assert given(written) == ([read] if read else ["run.name='1e5'", "run.root='r'"])


def test_a_home_is_expanded_where_the_text_is_a_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert given("run.root=~/runs", "run.name=~/runs") == ["run.root='/home/me/runs'", "run.name='~/runs'"]


def test_a_sweep_parts_at_commas_outside_of_quotes_and_lists():
    assert given("run.name=a,'b,c',1e5", sweep=True) == ["run.name='a','b,c','1e5'"]
    assert given("pairs=[a,b],c", conf=VerifyConf, sweep=True) == ["pairs=['a','b'],'c'"]
    assert given("run.name=choice(a, b)", sweep=True) == ["run.name='a','b'"]
    assert given("run.name=glob(a*)", sweep=True) == ["run.name=glob(a*)"]
    assert given("run.name=a,b") == ["run.name='a,b'"], "without -m it is one text"


def test_an_empty_value_between_commas_is_one_line_with_the_override():
    with pytest.raises(UserError, match=r"^cannot read 'run\.name=a,,b': one of the values between commas is empty"):
        given("run.name=a,,b", sweep=True)


def test_the_choice_of_a_file_is_a_text_too(tmp_path: Path):
    (tmp_path / "student").mkdir()
    assert letter_for_letter(DistillConf, ["student=1e5"], False, tmp_path) == ["student='1e5'"]
    assert letter_for_letter(DistillConf, ["student=a,b"], False, tmp_path) == ["student=a,b"], "Hydra says what to do"


def test_nothing_is_an_interpolation_unless_it_is_one():
    assert escaped("${run.root}/a") == "${run.root}/a"
    assert escaped("a${") == literal("a${") == r"a\${"
    assert literal("${run.root}") == r"\${run.root}"
    assert literal(r"a\${b}") == r"a\\\${b}", "what stood before the dollar stays"
    assert quoted("${b}") == r"'\${b}'"
