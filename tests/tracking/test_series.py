"""The series on disk equal those of an undisturbed run, whatever happened to the process that wrote them."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch

from distill.errors import UserError
from distill.tracking.series import Recorder, SeriesFile, read_series

FILE_NAME = "series.jsonl"


def value(step: int) -> dict[str, float]:
    return {"loss": 1 / (step + 1), "raw/margin": step**0.5}


def write(path: Path, steps: Iterable[int], resume_step: int | None = None) -> None:
    file = SeriesFile(path, resume_step)
    for step in steps:
        file.log(step, value(step))
    file.close()


def test_reads_back_what_was_logged(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(path, range(3))
    assert read_series(path) == {
        "loss": [(0, 1.0), (1, 0.5), (2, 1 / 3)],
        "raw/margin": [(0, 0.0), (1, 1.0), (2, 2**0.5)],
    }


def test_rows_are_on_disk_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    file = SeriesFile(path)
    file.log(7, {"loss": 2.0})
    assert read_series(path) == {"loss": [(7, 2.0)]}
    file.close()


@pytest.mark.parametrize("checkpoint", [0, 40, 57])
def test_a_resumed_run_has_the_series_of_an_undisturbed_one(tmp_path: Path, checkpoint: int) -> None:
    undisturbed, resumed = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write(undisturbed, range(100))
    write(resumed, range(58))
    with resumed.open("a") as file:
        file.write('{"step": 58, "values": {"lo')  # kill -9 in the middle of a line
    assert max(step for step, _ in read_series(resumed)["loss"]) == 57
    write(resumed, range(checkpoint, 100), resume_step=checkpoint)
    assert read_series(resumed) == read_series(undisturbed)


def test_rows_after_the_checkpoint_are_gone_at_once(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(path, range(10))
    SeriesFile(path, resume_step=4).close()
    assert [step for step, _ in read_series(path)["loss"]] == [0, 1, 2, 3, 4]


def test_without_a_checkpoint_the_series_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(path, range(10))
    SeriesFile(path).close()
    assert read_series(path) == {}


def test_resuming_where_there_is_no_series_yet(tmp_path: Path) -> None:
    write(tmp_path / FILE_NAME, [5], resume_step=4)
    assert read_series(tmp_path / FILE_NAME)["loss"] == [(5, 1 / 6)]


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    write(path, range(3))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:9], lines[2]]) + "\n")
    with pytest.raises(UserError, match=r"series\.jsonl: line 2 is"):
        read_series(path)


@pytest.mark.parametrize("tail", ["\0\0\0\0", "[1]", '{"step": "x", "values": {}}', "{}", '{"step": 9}'])
def test_a_last_line_that_is_no_row_is_left_out(tmp_path: Path, tail: str) -> None:
    path = tmp_path / FILE_NAME
    write(path, range(2))
    with path.open("a") as file:
        file.write(tail)
    assert [step for step, _ in read_series(path)["loss"]] == [0, 1]


def test_numbers_that_are_not_finite_stay_json(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    file = SeriesFile(path)
    file.log(0, {"loss": math.nan, "lr": 0.1})
    file.close()
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["values"] == {"loss": None, "lr": 0.1}
    assert math.isnan(read_series(path)["loss"][0][1])


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/series\.jsonl: cannot write .*File exists") as caught:
        SeriesFile(tmp_path / "file" / FILE_NAME)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_keeps_the_rows_before_it(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path = tmp_path / FILE_NAME
    write(path, range(3))
    file = SeriesFile(path, resume_step=3)
    file.close()
    file._file = open("/dev/full", "w")
    with pytest.raises(UserError, match="No space left"):
        file.log(3, value(3))
    with contextlib.suppress(OSError):
        file.close()
    assert len(read_series(path)["loss"]) == 3


def test_the_recorder_gives_plain_floats_to_every_sink_and_remembers_the_last() -> None:
    class List:
        def __init__(self) -> None:
            self.rows: list[tuple[int, dict[str, float]]] = []

        def log(self, step: int, values: Mapping[str, float]) -> None:
            self.rows.append((step, dict(values)))

    sinks = [List(), List()]
    recorder = Recorder(sinks)
    recorder(1, {"loss": torch.tensor(0.5), "lr": 1})
    recorder(2, {"loss": 0.25})
    for sink in sinks:
        assert sink.rows == [(1, {"loss": 0.5, "lr": 1.0}), (2, {"loss": 0.25})]
        assert type(sink.rows[0][1]["loss"]) is float
    assert recorder.last == {"loss": 0.25, "lr": 1.0}
