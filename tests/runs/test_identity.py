"""A run is its configuration and the contents of what it reads; a folder whose name was chosen remembers both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from distill.config.groups import StudentConf
from distill.errors import UserError
from distill.files.network_file import network_sha256
from distill.runs.centres_file import CENTRES
from distill.runs.folder import STUDENT_WEIGHTS, RunFolder, open_run
from distill.runs.identity import IDENTITY, RunIdentity, begins_with, centres_file, init_file, remember


@dataclass
class Conf:
    seed: int = 0


def folder(root: Path) -> RunFolder:
    with open_run(root, "run", False, Conf()) as opened:
        return opened


def test_the_digits_change_with_the_configuration_and_with_each_input():
    known = [RunIdentity("c", {"data": "d"}), RunIdentity("x", {"data": "d"}), RunIdentity("c", {"data": "x"})]
    assert len({identity.digits for identity in known}) == 3
    assert RunIdentity("c", {"data": "d"}).digits == known[0].digits


def test_a_folder_remembers_what_it_has_read(tmp_path: Path):
    run, identity = folder(tmp_path), RunIdentity("c", {"data": "d" * 80, "init": "i"})
    remember(run, identity)
    assert run.file(IDENTITY).read_text() == f"configuration c\ndata {'d' * 80}\ninit i\n"
    remember(run, identity)
    remember(run, RunIdentity("another", identity.inputs))  # the configuration is compared where it is stored
    with pytest.raises(UserError, match=r"other contents of data: d{25}\.\.\.d{25} there and e now"):
        remember(run, RunIdentity("c", {"data": "e", "init": "i"}))
    with pytest.raises(UserError, match="other contents of teacher: nothing there and t now"):
        remember(run, RunIdentity("c", {**identity.inputs, "teacher": "t"}))


def test_a_student_begins_with_files_or_with_a_run_folder(tmp_path: Path):
    for name in (STUDENT_WEIGHTS, CENTRES):
        (tmp_path / name).write_bytes(name.encode())
    by_folder = StudentConf(init=str(tmp_path), centres=str(tmp_path))
    by_file = StudentConf(init=str(tmp_path / STUDENT_WEIGHTS), centres=str(tmp_path / CENTRES))
    assert init_file(by_folder) == init_file(by_file) == tmp_path / STUDENT_WEIGHTS
    assert centres_file(by_folder) == centres_file(by_file) == tmp_path / CENTRES
    assert begins_with(by_file) == {
        "student.init": network_sha256(tmp_path / STUDENT_WEIGHTS),
        "student.centres": network_sha256(tmp_path / CENTRES),
    }
    assert begins_with(StudentConf()) == {}


@pytest.mark.parametrize(
    ("init", "centres", "line"),
    [
        ("none", None, "none, which does not exist"),
        ("empty", None, f"holds no {STUDENT_WEIGHTS}: that run has not finished"),
        (None, "empty", "student.init is null; expected both"),
        ("weights", "empty", f"{CENTRES} does not exist; expected the folder of a run"),
    ],
)
def test_what_cannot_be_begun_with_is_one_line(tmp_path: Path, init: str | None, centres: str | None, line: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights").write_bytes(b"w")
    with pytest.raises(UserError, match=line):
        begins_with(StudentConf(init=init and str(tmp_path / init), centres=centres and str(tmp_path / centres)))
