"""What runs leave behind: names of files, keys of every JSON file, names of series."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from golden.small_runs import SmallRuns

_HEX = re.compile(r"[0-9a-f]{8,}")


def left_behind(runs: SmallRuns) -> str:
    """Names and keys below each folder as text, a line for each; what changes from run to run is replaced by ``#``."""
    parts = {
        "run folder": runs.distilled,
        "run folder without a teacher": runs.margin,
        "service": runs.service,
        "verify": runs.folder / "verify",
        "judge": runs.folder / "judge",
    }
    return "".join(f"# {title}\n" + "".join(f"{line}\n" for line in _lines(root)) for title, root in parts.items())


def _lines(root: Path) -> list[str]:
    return sorted({line for path in root.rglob("*") if not path.is_dir() for line in _described(root, path)})


def _described(root: Path, path: Path) -> Iterator[str]:
    name = _HEX.sub("#", path.relative_to(root).as_posix())
    yield name
    if path.suffix == ".json":
        yield from (f"{name}: {key}" for key in sorted(set(_keys(json.loads(path.read_text())))))
    elif path.name == "series.jsonl":
        rows = map(json.loads, path.read_text().splitlines())
        yield from (f"{name}: {key}" for key in sorted({key for row in rows for key in row["values"]}))


def _keys(tree: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys; the items of a list share one name, and so do keys that are numbers, hashes or paths."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            plain = "#" if re.fullmatch(r"[0-9.e+-]+|.*/.*|[0-9a-f]{8,}", key) else key
            yield from _keys(value, f"{prefix}.{plain}" if prefix else plain)
    elif isinstance(tree, list):
        for value in tree:
            yield from _keys(value, f"{prefix}[]")
    else:
        yield prefix
