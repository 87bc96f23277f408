"""Write the golden files again: ``make golden``. Say in the commit why they change."""

from __future__ import annotations

import tempfile
from pathlib import Path

from golden.files import left_behind
from golden.numbers import numbers
from golden.small_runs import run_all
from golden.surface import declared

HERE = Path(__file__).parent


def write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = run_all(Path(folder))
        texts = {"declared": declared(HERE.parents[1]), "left_behind": left_behind(runs), "numbers": numbers(runs)}
    for name, text in texts.items():
        (HERE / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    write()
