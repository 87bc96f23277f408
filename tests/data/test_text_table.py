from __future__ import annotations

from pathlib import Path

import pytest

from distill.data.text_table import columns_of, lines_of
from distill.errors import UserError


def test_lines_keep_their_numbers_where_some_are_empty(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("1 2\n\n 3\t4 \n\n")
    assert [(line.number, list(line.words)) for line in lines_of(path, 2, "two")] == [(1, ["1", "2"]), (3, ["3", "4"])]


def test_words_that_are_no_utf_8_come_through(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff.jpg 7\n")
    (line,) = lines_of(path, 2, "two")
    assert line.words[0].encode(errors="surrogateescape") == b"\xff.jpg"
    assert line.whole(1) == 7
    assert line.real(1) == 7.0


@pytest.mark.parametrize("word", ["", "1.5", "1e3", "seven"])
def test_a_whole_number_is_one(tmp_path: Path, word: str):
    path = tmp_path / "a.csv"
    path.write_text(f"A\n{word or '-'}\n")
    (line,) = columns_of(path, ["A"])
    with pytest.raises(UserError, match=f"^{path}, line 2: has .* expected an integer$"):
        line.whole(0)


def test_columns_are_found_by_name_behind_a_mark_and_in_quotes(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffC, A ,"B"\r\nx,1,"2,5"\r\n\r\ny,3,"a\nb"\r\n'.encode())
    found = list(columns_of(path, ["B", "A"]))
    assert [list(line.words) for line in found] == [["2,5", "1"], ["a\nb", "3"]]
    assert found[0].number == 2
