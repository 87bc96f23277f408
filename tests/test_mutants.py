"""The tool that plants wrong lines: its list fits the code, and it notices on a toy what a test notices."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutants import LISTED, NOTICED, ROOT, SURVIVED, Mutation, read_mutations

TOY = "def larger(a, b):\n    if a > b:\n        return a\n    return b\n"
TEST = "from toy import larger\n\n\ndef test_larger():\n    assert larger(1, 2) == 2\n    assert larger(3, 2) == 3\n"
ENTRIES = """\
# toy.py: tests/test_toy.py

- if a > b:
+ if a < b:

- if a > b:
+ if a >= b:
= of two equal numbers either is the larger

- return b
+ while True: pass
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a module, its test and a list."""
    root = tmp_path / "toy"
    (root / "tests").mkdir(parents=True)
    (root / "toy.py").write_text(TOY)
    (root / "tests" / "test_toy.py").write_text(TEST)
    (root / "list.txt").write_text(ENTRIES)
    (root / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    monkeypatch.setattr(mutants, "ROOT", root)
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    return root


def test_every_mutation_fits_the_code_as_it_is():
    """Where this fails, a line has changed since: change the entry with it, or take it out."""
    listed = read_mutations(LISTED)
    assert len(listed) > 200
    assert len({mutation.name for mutation in listed}) == len(listed)
    wrong = []
    for mutation in listed:
        assert mutation.tests
        assert [test for test in mutation.tests if not (ROOT / test).is_file()] == [], mutation.name
        try:
            mutation.applied((ROOT / mutation.module).read_text())
        except ValueError as error:
            wrong.append(str(error))
    assert wrong == []


def test_the_kept_figures_are_of_listed_mutations():
    if not mutants.RESULT.exists():
        pytest.skip("nothing is kept yet")
    kept = json.loads(mutants.RESULT.read_text())
    names = {mutation.name for mutation in read_mutations(LISTED)}
    assert kept["verdicts"].keys() <= names
    assert kept["noticed"] + len(kept["survivors"]) + len(kept["equivalent"]) == kept["tried"]


def run(toy: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    given = ["--jobs", "1", "--list", str(toy / "list.txt"), "--out", str(toy.parent / "out.json"), *more]
    monkeypatch.setattr("sys.argv", ["mutants.py", *given])
    return mutants.main()


@pytest.mark.slow
def test_what_a_test_notices_is_noticed_and_a_stopped_run_goes_on(toy: Path, monkeypatch, capsys):
    (toy / "list.txt").write_text(ENTRIES.rpartition("\n- ")[0])
    assert run(toy, monkeypatch) == 0
    kept = json.loads((toy.parent / "out.json").read_text())
    assert [found["verdict"] for found in kept["verdicts"].values()] == [NOTICED, SURVIVED]
    assert (kept["noticed"], kept["share_noticed"], kept["survivors"]) == (1, 1.0, [])
    assert list(kept["equivalent"].values()) == ["of two equal numbers either is the larger"]
    assert next(iter(kept["verdicts"].values()))["by"] == "tests/test_toy.py::test_larger"
    assert (toy / "toy.py").read_text() == TOY, "the tree itself is left alone"
    capsys.readouterr()
    monkeypatch.setattr(mutants, "tried", lambda *_: pytest.fail("nothing has changed"))
    assert run(toy, monkeypatch) == 0
    assert "2 mutations, 2 of them known" in capsys.readouterr().out
    monkeypatch.setattr(mutants, "tried", lambda mutation, *_: (SURVIVED, ""))
    (toy / "tests" / "test_toy.py").write_text(TEST + "\n")
    assert run(toy, monkeypatch) == 1, "other tests are other verdicts"
    assert capsys.readouterr().out.count("survived:") == 1


@pytest.mark.slow
def test_a_test_that_hangs_has_noticed(toy: Path):
    *_, endless = read_mutations(toy / "list.txt")
    assert mutants.tried(endless, endless.tests, toy, limit_s=1.5) == (NOTICED, "no end within 1.5 s")
    assert (toy / "toy.py").read_text() == TOY


def test_tests_that_fail_anyway_notice_nothing(toy: Path, monkeypatch):
    (toy / "tests" / "test_toy.py").write_text("def test_never():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"tests/test_toy\.py fail in an unchanged copy \(.*::test_never\)"):
        run(toy, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (("if a == b:",), ("pass",), "the old lines stand 0 times"),
        (("return a", "return b"), ("return b",), ""),
        (("if a > b:",), ("if a > b",), "is no Python"),
        (("if a > b:",), ("if a > b:",), "changes nothing"),
        (("return 1",), ("return 2",), "the old lines stand 2 times"),
    ],
)
def test_a_mutation_that_does_not_fit_is_told(old: tuple[str, ...], new: tuple[str, ...], told: str):
    text = TOY + "\n\ndef one():\n    return 1\n\n\ndef other():\n    return 1\n"
    mutation = Mutation("toy.py", ("tests/test_toy.py",), old, new)
    if not told:
        assert mutation.applied(text).startswith("def larger(a, b):\n    if a > b:\n        return b\n\n")
        return
    with pytest.raises(ValueError, match=told):
        mutation.applied(text)


def test_a_line_of_the_list_that_means_nothing_is_told(tmp_path: Path):
    (tmp_path / "list.txt").write_text("# toy.py: tests/test_toy.py\n\n-old\n")
    with pytest.raises(ValueError, match="'-old'; expected a line that begins with"):
        read_mutations(tmp_path / "list.txt")
