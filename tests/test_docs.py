"""Documents against the project: the tree names every file, the index every page, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PAGE = re.compile(r"`(docs/\w+\.md|CHANGELOG\.md|benchmarks/[\w./-]+\.\w+|tests/[\w/]+\.py)\b")
LEFT_BY_HAND = {"benchmarks/results/mutants.json"}
"""Written by a command that people run before a release."""
SOURCE = re.compile(r"`((?:distill|teachers|conf)/[\w/]+\.(?:py|yaml))\b")


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
        hidden = {"default_margin", "frozen", "continue"}  # composed by others, chosen by nobody
        assert shipped - hidden <= named, group
