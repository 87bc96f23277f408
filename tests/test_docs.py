"""Documents against the project: the tree names every file, the index every page, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PAGE = re.compile(r"`(docs/\w+\.md|CHANGELOG\.md|benchmarks/[\w./-]+\.\w+|tests/[\w/]+\.py)\b")
LEFT_BY_HAND = {"benchmarks/results/mutants.json"}
"""Written by a command that people run before a release."""
SOURCE = re.compile(r"`((?:distill|teachers|conf)/[\w/]+\.(?:py|yaml))\b")
CODE = re.compile(r"`([^`\n]+)`")
FILE_NAME = re.compile(r"(?:[\w.]+/)*\w+\.py")
CLASS_NAME = re.compile(r"(?:\w+\.)?([A-Z][a-z]+(?:[A-Z]\w*|\b))")
DOTTED = re.compile(r"(?:distill|teachers|benchmarks)(?:\.\w+)+")
OF_OTHERS = {"face_align.py"}
"""Files of other projects."""


def _tree(repository: Path) -> dict[str, str]:
    """Every file that the tree of ``docs/design.md`` lists, with its words."""
    found: dict[str, str] = {}
    folder = ""
    for line in (repository / "docs/design.md").read_text().split("## The tree\n")[1].splitlines():
        if heading := re.match(r"### ([\w/]+/): ", line):
            folder = heading[1]
        elif entry := re.match(r"    (\w+\.py) +(.+)", line):
            found[folder + entry[1]] = entry[2]
    return found


def test_the_tree_lists_every_file_of_the_packages(repository: Path):
    files = {
        path.relative_to(repository).as_posix()
        for package in ("distill", "teachers")
        for path in (repository / package).rglob("*.py")
    }
    listed = _tree(repository)
    assert sorted(files - listed.keys()) == [], "add them to docs/design.md, five words each"
    assert sorted(listed.keys() - files) == [], "they are gone: remove them from docs/design.md"


def test_the_tree_has_some_five_words_for_each_file(repository: Path):
    assert [name for name, words in _tree(repository).items() if not 2 <= len(words.split()) <= 7] == []


def test_the_index_has_one_line_for_every_page(repository: Path):
    pages = {path.name for path in (repository / "docs").glob("*.md")} - {"README.md"}
    listed = re.findall(r"^- \[[\w.]+\]\((\w+\.md)\): \S", (repository / "docs/README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(pages)


def test_every_link_and_every_named_page_exists(repository: Path):
    missing = []
    for page in [repository / "README.md", repository / "CHANGELOG.md", *(repository / "docs").glob("*.md")]:
        text = page.read_text()
        missing += [(page.name, to) for to in LINK.findall(text) if not (page.parent / to).exists()]
        named = {name for pattern in (PAGE, SOURCE) for name in pattern.findall(text)}
        missing += [(page.name, to) for to in sorted(named - LEFT_BY_HAND) if not (repository / to).exists()]
    assert missing == []


@cache
def _sources(repository: Path) -> dict[str, str]:
    """The text of every Python file of the project, by its path."""
    folders = ("distill", "teachers", "benchmarks", "tests", "deploy", ".ci")
    return {
        path.relative_to(repository).as_posix(): path.read_text()
        for folder in folders
        for path in (repository / folder).rglob("*.py")
    }


@cache
def _classes(repository: Path) -> set[str]:
    return {
        node.name
        for name, text in _sources(repository).items()
        if not name.startswith("tests/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }


def _stale(repository: Path, text: str) -> list[str]:
    """The names in backticks of files, classes and dotted paths that the project does not have."""
    files = _sources(repository)
    stale = []
    for code in CODE.findall(text):
        if FILE_NAME.fullmatch(code):
            known = any(f"/{name}".endswith(f"/{code}") for name in files) or code in OF_OTHERS
        elif found := CLASS_NAME.fullmatch(code):
            known = found[1] in _classes(repository)
        elif DOTTED.fullmatch(code):
            known = _imports(code)
        else:
            continue
        stale += [] if known else [code]
    return stale


def _imports(dotted: str) -> bool:
    """Whether it is a module, or what a module holds."""
    module, _, name = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name) or bool(importlib.import_module(dotted))
    except ImportError:
        return False


def test_files_classes_and_dotted_names_in_backticks_exist(repository: Path):
    pages = [repository / "README.md", *(repository / "docs").glob("*.md")]
    assert {page.name: stale for page in pages if (stale := _stale(repository, page.read_text()))} == {}


def test_a_stale_name_is_found(repository: Path):
    text = "`distill/jobs/teacher.py` `fusion.py` `UnitGap` `feature.Gone` `distill.data.pairs.gone` `distill.types`"
    assert _stale(repository, text) == ["distill/jobs/teacher.py", "feature.Gone", "distill.data.pairs.gone"]


def test_the_readme_is_short_and_has_its_guides(repository: Path):
    text = (repository / "README.md").read_text()
    assert len(text.splitlines()) <= 200
    for guide in ("a folder of faces and a backbone.pth", "it every night", "to compare models", "another network"):
        assert re.search(rf"^## I (have|want) {guide}$", text, re.MULTILINE), guide


def test_the_readme_uses_targets_that_make_has(repository: Path):
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    used = set(
        re.findall(
            r"(?:^ {4}|`| )make ([a-z][a-z-]*)(?= [^a-z ]|[` ]\S+=|`|$)", (repository / "README.md").read_text(), re.M
        )
    )
    assert "distill" in used
    assert sorted(used - targets - {"turns"}) == []


def test_the_readme_s_choices_are_those_of_the_configuration(repository: Path):
    table = (repository / "README.md").read_text().split("## I want another network")[1].split("\n## ")[0]
    for group in ("student", "teacher", "objective", "protocol", "data", "trainer", "tracking"):
        [row] = [line for line in table.splitlines() if line.startswith(f"| `{group}` |")]
        named = set(re.findall(r"`(\w+)`", row)) - {group}
        shipped = {path.stem for path in (repository / "conf" / group).glob("*.yaml")}
        assert named <= shipped | {"synthfaces"}, group
        hidden = {"default_margin", "frozen", "continue"}  # composed by others, never chosen directly
        assert shipped - hidden <= named, group
