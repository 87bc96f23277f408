"""Single wrong lines, planted on purpose: how many of them do the nearest tests notice?

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/mutants.py --jobs 2 [--only roc,judge] [--list FILE] [--out FILE]

``mutations.txt`` lists them. Each is planted alone in a copy of the tree, never in the tree itself, and the tests that
the list names for its module run there until the first one fails. Before, the same tests have to pass in an unchanged
copy. A run that takes longer than ``--limit`` seconds counts as noticed: a test that hangs is seen.

Figures are kept in ``results/mutants.json`` after every mutation, so that the same command resumes where it was
stopped. What is unchanged (the mutation, its module and the tests) is not tried again. Exits with 1 if a mutation
survives that is not marked as equivalent.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from distill.files.atomic import write_atomic
from distill.report.terminal import print_figures

ROOT = Path(__file__).parents[1]
LISTED = Path(__file__).with_name("mutations.txt")
RESULT = Path(__file__).parent / "results" / "mutants.json"
NOTICED, SURVIVED = "noticed", "survived"
FAST = "not slow and not gpu and not network"


@dataclass(frozen=True)
class Mutation:
    """Lines of a module that become others; ``equivalent`` is the reason why no test can detect it, or ""."""

    module: str
    tests: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    equivalent: str = ""

    @property
    def name(self) -> str:
        return f"{self.module}: {' / '.join(self.old)} -> {' / '.join(self.new) or 'nothing'}"

    def applied(self, text: str) -> str:
        """The module's ``text`` with the new lines, indented as the first old one.

        ValueError unless the old lines stand there once and Python can read what comes out: what breaks off at its
        import says nothing of the tests.
        """
        lines = text.split("\n")
        stripped = [line.strip() for line in lines]
        count = len(self.old)
        places = [k for k in range(len(lines) - count + 1) if tuple(stripped[k : k + count]) == self.old]
        if len(places) != 1:
            raise ValueError(f"{self.name}: the old lines stand {len(places)} times in the module; expected once")
        (at,) = places
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        changed = "\n".join([*lines[:at], *(indent + line for line in self.new or ("pass",)), *lines[at + count :]])
        if changed == text:
            raise ValueError(f"{self.name}: changes nothing")
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise ValueError(f"{self.name}: is no Python ({error.msg})") from error
        return changed


Try = tuple[Mutation | None, tuple[str, ...]]
"""A mutation, or none, and the tests that look at it."""
Said = tuple[str, str]
"""The verdict, and which test noticed."""


def read_mutations(path: Path) -> list[Mutation]:
    """The list: ``# MODULE: TESTS``, then for each mutation its ``-`` lines, its ``+`` lines and maybe a ``=`` line."""
    found: list[Mutation] = []
    module, tests = "", tuple[str, ...]()
    for block in re.split(r"\n\s*\n", path.read_text().strip()):
        old, new, why = [], [], []
        for line in block.split("\n"):
            mark, _, rest = line.partition(" ")
            if mark == "#":
                module, _, named = rest.partition(": ")
                tests = tuple(named.split())
            elif mark in ("-", "+", "="):
                lines = {"-": old, "+": new, "=": why}[mark]
                lines += [rest.strip()] if rest.strip() else []  # a + alone: the old lines go
            else:
                raise ValueError(f"{path}: {line!r}; expected a line that begins with #, -, + or =")
        if old:
            found.append(Mutation(module, tests, tuple(old), tuple(new), " ".join(why)))
    return found


def tried(mutation: Mutation | None, tests: Sequence[str], tree: Path, limit_s: float) -> Said:
    """The tests' verdict in ``tree``, a copy with the mutation (None: unchanged) planted meanwhile, and the test."""
    with _planted(mutation, tree):
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", FAST, *tests]
        alone = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        job = subprocess.Popen(command, cwd=tree, env=os.environ | alone, start_new_session=True, **pipes)
        try:
            said, _ = job.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)  # with what the tests have started
            job.communicate()
            return NOTICED, f"no end within {limit_s:g} s"
    if job.returncode == 0:
        return SURVIVED, ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    return NOTICED, failed[1] if failed else said.strip().split("\n")[-1]


@contextmanager
def _planted(mutation: Mutation | None, tree: Path) -> Iterator[None]:
    if mutation is None:
        yield
        return
    path = tree / mutation.module
    before = path.read_text()
    path.write_text(mutation.applied(before))
    try:
        yield
    finally:
        path.write_text(before)


def digest(mutation: Mutation) -> str:
    """What a verdict is bound to: the mutation, its module, and its test files."""
    told = hashlib.sha256(json.dumps([mutation.old, mutation.new, mutation.tests]).encode())
    for name in (mutation.module, *mutation.tests):
        told.update((ROOT / name.partition("::")[0]).read_bytes())
    return told.hexdigest()


def copied(root: Path, target: Path) -> Path:
    """The tree as git sees it, with what is not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)
    return target


def summary(mutations: Sequence[Mutation], kept: dict[str, Any]) -> dict[str, Any]:
    """Counts and survivors, for all mutations of the list that have a verdict."""
    known = [(m, kept[m.name]) for m in mutations if m.name in kept]
    excused = {m.name: m.equivalent for m, found in known if m.equivalent and found["verdict"] == SURVIVED}
    judged = [(m, found) for m, found in known if m.name not in excused]
    noticed = sum(found["verdict"] == NOTICED for _, found in judged)
    return {
        "listed": len(mutations),
        "tried": len(known),
        "equivalent": excused,
        "noticed": noticed,
        "share_noticed": round(noticed / len(judged), 4) if judged else None,
        "survivors": [m.name for m, found in judged if found["verdict"] == SURVIVED],
        "verdicts": {m.name: found for m, found in known},
    }


def main() -> int:
    arguments = _arguments()
    mutations = read_mutations(arguments.list)
    chosen = [m for m in mutations if not arguments.only or any(word in m.module for word in arguments.only)]
    for mutation in chosen:
        mutation.applied((ROOT / mutation.module).read_text())
    earlier = json.loads(arguments.out.read_text())["verdicts"] if arguments.out.exists() else {}
    of = {m.name: digest(m) for m in mutations}
    kept = {name: earlier[name] for name in of if earlier.get(name, {}).get("of") == of[name]}
    left = [m for m in chosen if m.name not in kept]
    print(f"{len(chosen)} mutations, {len(chosen) - len(left)} of them known", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for job in range(arguments.jobs):
            trees.put(copied(ROOT, Path(folder) / str(job)))
        _require_green(left, trees, arguments)
        for (mutation, _), (verdict, by) in _each([(m, m.tests) for m in left], trees, arguments):
            assert mutation is not None
            kept[mutation.name] = {"verdict": verdict, "by": by, "of": of[mutation.name]}
            print(f"{verdict:8}  {mutation.name}" + (f"  ({by})" if by else ""), flush=True)
            write_atomic(arguments.out, (json.dumps(summary(mutations, kept), indent=1) + "\n").encode())
    result = summary(chosen, kept)
    rows = [(name, str(result[name])) for name in ("tried", "noticed", "share_noticed")]
    print_figures(("figure", "value"), [*rows, ("equivalent", str(len(result["equivalent"])))])
    for name in result["survivors"]:
        print(f"survived: {name}")
    return int(bool(result["survivors"]))


def _require_green(left: Sequence[Mutation], trees: SimpleQueue[Path], arguments: argparse.Namespace) -> None:
    """Tests that fail without a mutation notice nothing."""
    unchanged = [(None, tests) for tests in dict.fromkeys(m.tests for m in left)]
    for (_, tests), (verdict, by) in _each(unchanged, trees, arguments):
        if verdict == NOTICED:
            sys.exit(f"{' '.join(tests)} fail in an unchanged copy ({by}); expected tests that pass")


def _each(tries: Sequence[Try], trees: SimpleQueue[Path], arguments: argparse.Namespace) -> Iterator[tuple[Try, Said]]:
    """Every try with the verdict of its tests, as they end; each has a copy of the tree to itself."""

    def one(mutation: Mutation | None, tests: Sequence[str]) -> Said:
        tree = trees.get()
        try:
            return tried(mutation, tests, tree, arguments.limit)
        finally:
            trees.put(tree)

    pool = ThreadPoolExecutor(arguments.jobs)
    try:
        jobs = {pool.submit(one, *what): what for what in tries}
        for job in as_completed(jobs):
            yield jobs[job], job.result()
    finally:
        pool.shutdown(cancel_futures=True)  # who stops the run does not wait for the rest of the list


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="wrong lines and the tests that notice them")
    parser.add_argument("--jobs", type=int, default=2, help="copies of the tree that are tested at once")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="parts of modules' names")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for the tests of one mutation")
    parser.add_argument("--list", type=Path, default=LISTED)
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
