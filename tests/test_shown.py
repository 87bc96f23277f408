"""Names of files are bytes: what people are shown of them, and the paths that libraries take."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from markupsafe import Markup

from distill.files.atomic import write_page, write_text
from distill.files.utf8_path import utf8_path
from distill.shown import ShownFormatter, shown, shown_all

MULLER = os.fsdecode(b"M\xfcller")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, Müller, 日本, ±", "plain, Müller, 日本, ±"),
        (MULLER, "M\\xfcller"),
        (Path("a") / MULLER, "a/M\\xfcller"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("left\u202eright", "left\\u202eright"),
        ("\ud800", "\\ud800"),
        (None, "None"),
    ],
)
def test_what_is_shown_can_be_printed(text: object, expected: str):
    assert shown(text) == expected
    assert shown(text).isprintable()
    shown(text).encode()


def test_all_texts_of_a_tree_are_shown():
    tree = {MULLER: [MULLER, 1, None, (MULLER, True)], "a": {"b": 1.5}}
    assert shown_all(tree) == {"M\\xfcller": ["M\\xfcller", 1, None, ("M\\xfcller", True)], "a": {"b": 1.5}}


def test_pages_are_utf8_and_text_that_is_read_back_keeps_its_bytes(tmp_path: Path):
    write_page(tmp_path / "page", f"± {MULLER}\n")
    assert (tmp_path / "page").read_text(encoding="utf-8") == "± M\\xfcller\n"
    write_text(tmp_path / "text", f"± {MULLER}\n")
    assert (tmp_path / "text").read_bytes() == "± ".encode() + b"M\xfcller\n"


def test_a_log_line_is_one_line():
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s: skipped", (f"{MULLER}\n\x1b",), None)
    assert ShownFormatter().format(record) == "M\\xfcller\\n\\x1b: skipped"


def test_values_on_html_pages_are_shown_and_markup_stays():
    from distill.report.run_page import html_templates

    page = html_templates().from_string("{{ name }} {{ chart }} {{ number }}")
    found = page.render(name=f"<{MULLER}\x1b>", chart=Markup("<svg>\n</svg>"), number=3)
    assert found == "&lt;M\\xfcller\\x1b&gt; <svg>\n</svg> 3"


def test_values_on_markdown_pages_are_shown():
    from distill.report.model_card import markdown_templates

    assert markdown_templates().from_string("{{ name }}").render(name=f"{MULLER}\x1b|") == "M\\xfcller\\x1b\\|"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_of_the_terminal_ends_a_job(encoding: str, tmp_path: Path):
    code = (
        "import sys; from distill.shown import print_anything; print_anything();"
        f"print('±', {MULLER!r}); print('±', {MULLER!r}, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    expected = "± M\\xfcller\n" if encoding != "ascii" else "\\xb1 M\\xfcller\n"
    assert (done.stdout, done.stderr) == (expected.encode(encoding),) * 2


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_the_command_line_runs_in_ascii(variables: dict[str, str], tmp_path: Path):
    command = [os.fsencode(sys.executable), b"-m", b"distill", b"verify", b"model=n\xfc.onnx", b"pairs=x.bin"]
    environment = {**os.environ, **variables, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"error: ")
    done.stderr.decode("ascii")


@pytest.mark.parametrize("path", [f"{MULLER}/plain", f"plain/{MULLER}", f"{MULLER}/{MULLER}"])
def test_a_path_that_is_no_text_is_reached_by_one_that_is(tmp_path: Path, path: str):
    place = tmp_path / path
    place.parent.mkdir()
    place.write_bytes(b"content")
    place.with_name("beside").write_bytes(b"more")
    with utf8_path(place) as text:
        text.encode()
        assert Path(text).read_bytes() == b"content"
        assert place.name != "plain" or Path(text).with_name("beside").read_bytes() == b"more"
    assert not Path(text).exists()


def test_a_path_that_is_text_stays_as_it_is(tmp_path: Path):
    with utf8_path(tmp_path / "Müller") as text:
        assert text == str(tmp_path / "Müller")


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path):
    with pytest.raises(FileNotFoundError), utf8_path(tmp_path / MULLER):
        pass
