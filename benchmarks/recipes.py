"""Recipes, teachers and generations compared: three tables over the same seeds, with paired differences.

    .venv/bin/python benchmarks/recipes.py DATA_ROOT [--seeds 3] [--images 16000] [--jobs 2] [--tables recipes ...]

recipes      all recipes of ``conf/experiment`` that train a light student, at equal samples seen, with the same student
             and real faces, from stored signals of one teacher; differences to the default objective
teachers     the default recipe from every teacher whose signals are shipped, on the embedded faces; differences to r152
             with the same kind of signals as the others, one embedding for an image and its mirror image
generations  one generation, two (``generations=2``), and one of twice the samples seen; differences to the first

DATA_ROOT holds labelled/ and singles/ (RecordIO), lfw_dev.bin and reference_teacher.onnx. Accuracy on lfw_dev.bin is
over its two folds of LFW, on the embedded sets over ten. Runs, logs and scores are kept below runs/recipes, so that a
stopped benchmark continues; a finished row is kept in benchmarks/results/recipes-TABLE-IMAGES.json and not run again.
``vargfacenet`` and ``margin`` are rows as ``deepglint_light`` and ``deepglint_large``, which have these objectives.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from distilling import real_faces, store_signals
from flip_summed import flip_summed
from recipe_table import Row, Table, filled, markdown

from distill.config.compose import conf_dir
from distill.signals.manifest import MANIFEST, read_manifest

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs") / "recipes"
SHIPPED = Path(__file__).parents[1] / "teachers" / "signals"
NOT_SHIFTED = "data.augment.shift_px=0"
"""Signals of an image and its mirror image serve every recipe, whatever else it changes for the student alone."""
RECIPES = {
    "default": Row("ours, all three families", ["objective=default"]),
    "deepglint_light": Row("deepglint_light: ArcFace + eq. 5", ["experiment=deepglint_light", "generations=1"]),
    "deepglint_large": Row("deepglint_large: CosFace, no teacher", ["objective=margin"]),
    "iqiyi_light": Row("iqiyi_light: the student's own quality", ["experiment=iqiyi_light"]),
    "adadistill": Row("adadistill", ["experiment=adadistill"]),
    "ekd": Row("ekd", ["experiment=ekd"]),
    "relational": Row("relational", ["experiment=relational"]),
    "frozen_classifier": Row("frozen_classifier", ["experiment=frozen_classifier"]),
    "margin_distillation": Row("margin_distillation", ["experiment=margin_distillation"]),
}
FIRST_TEACHER = "r152"


def main() -> int:
    arguments = _arguments()
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.tables:
        table, common = _table(name, arguments)
        if name != "teachers":
            store_signals([*real_faces(arguments.data), NOT_SHIFTED, f"out={_signals()}"], RUNS)
        place = RESULTS / f"recipes-{name}-{arguments.images}.json"
        rows = filled(table, common, place, RUNS, arguments.jobs, _command(arguments))
        print(markdown(table, rows), flush=True)
    return 0


def _table(name: str, arguments: argparse.Namespace) -> tuple[Table, list[str]]:
    """The table and the options of all its runs."""
    rows, folds, common = {
        "recipes": lambda: (RECIPES, 2, real_options(arguments.data)),
        "teachers": lambda: (teachers(), 10, ["objective=default", "tracking=none"]),
        "generations": lambda: (generations(arguments.images), 2, real_options(arguments.data)),
    }[name]()
    return Table(name, rows, folds, arguments.images, arguments.seeds, arguments.options), common


def real_options(data: Path) -> list[str]:
    """Teacher, real faces and stored signals, the same for every recipe."""
    return [*real_faces(data), NOT_SHIFTED, f"signals={_signals()}", "tracking=none"]


def _signals() -> Path:
    return RUNS / "signals"


def teachers() -> dict[str, Row]:
    """A row for every teacher whose signals on the embedded faces are shipped, and whose network has a name here."""
    found = {str(read_manifest(path.parent).teacher["name"]): path.parent for path in SHIPPED.glob(f"*/{MANIFEST}")}
    known = {path.stem for path in (conf_dir() / "teacher").glob("*.yaml")}
    names = sorted(found.keys() & known, key=lambda name: (name != FIRST_TEACHER, name))
    rows = {name: Row(name, [f"teacher={name}", f"signals={found[name]}"], f"from_{name}") for name in names}
    if read_manifest(found[FIRST_TEACHER]).columns == 1:
        return rows
    folder = RUNS / f"{FIRST_TEACHER}-flip_sum"
    summed = folder if (folder / MANIFEST).exists() else flip_summed(found[FIRST_TEACHER], folder)
    first = Row(f"{FIRST_TEACHER}, flip sum", [f"teacher={FIRST_TEACHER}", f"signals={summed}"], "from_flip_sum")
    return {f"{FIRST_TEACHER}_flip_sum": first, **rows}


def generations(images: int) -> dict[str, Row]:
    """The default objective; the first generation's runs are those of the table of recipes."""
    two = ["objective=default", "generations=2"]
    return {
        "one": Row("one generation", two, "default"),
        "two": Row("two generations", two, "default", "-g2"),
        "twice": Row("one of twice the samples seen", ["objective=default", f"trainer.images={2 * images}"], "twice"),
    }


def _command(arguments: argparse.Namespace) -> str:
    words = ["benchmarks/recipes.py", "DATA_ROOT", f"--seeds={arguments.seeds}", f"--images={arguments.images}"]
    words += [f"--jobs={arguments.jobs}", *(["--options", *arguments.options] if arguments.options else [])]
    return shlex.join(words)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with labelled/, singles/, lfw_dev.bin, reference_teacher.onnx")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=16_000, help="length of each run in samples seen")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    tables = ["recipes", "teachers", "generations"]
    parser.add_argument("--tables", nargs="*", choices=tables, default=tables)
    parser.add_argument("--options", nargs="*", default=[], help="further overrides for every run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
