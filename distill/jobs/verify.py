"""``make verify model=FILE.onnx pairs=FILE.bin``: score a network on one set of verification pairs or on several."""

from __future__ import annotations

from pathlib import Path

from distill.config.scoring_jobs import VerifyConf
from distill.data.damage import Damage
from distill.data.pairs import pair_files, read_pairs
from distill.files.atomic import write_json
from distill.files.writable import require_writable
from distill.report.terminal import print_figures, print_verification
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least, require_folds
from distill.runs.verification import COLUMNS, score_set
from teachers.onnx_network import OnnxNetwork

FILE = "verify.json"


def run(conf: VerifyConf) -> int:
    """Print the table and write ``verify.json`` beside the model or into ``out``."""
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    model, paths = model_file(conf.model), pair_files(conf.pairs)
    network = OnnxNetwork(model)
    source = network.expects
    about = {"model": str(model), "model_sha256": network.file.sha256, "preprocessing": source}
    out = require_writable((Path(conf.out) if conf.out else model.parent) / FILE)
    damage = Damage(conf.max_damaged)
    if len(paths) == 1:
        pairs = read_pairs(paths[0], damage)
        require_folds(paths[0], len(pairs), conf.folds)
        score = score_set(network, pairs, conf)
        print_verification(score.found.rows(), source)
        write_json(out, {**about, **damage.to_json(), **score.to_json()})
        _print_damage(damage, score.left_out)
        return 0
    for path in paths:  # a broken set is refused before the first one costs minutes
        require_folds(path, len(read_pairs(path, damage)), conf.folds)
    each = [score_set(network, read_pairs(path, damage), conf) for path in paths]
    print_figures(COLUMNS, [score.row for score in each])
    print(f"preprocessing: {source}")
    write_json(out, {**about, **damage.to_json(), "sets": [score.to_json() for score in each]})
    _print_damage(damage, sum(score.left_out for score in each))
    return 0


def _print_damage(damage: Damage, pairs: int) -> None:
    """What the scores leave out."""
    if len(damage):
        print(f"{damage.words()}, {pairs:,} pairs with them")
