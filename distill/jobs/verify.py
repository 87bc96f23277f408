"""``make verify model=FILE.onnx pairs=FILE.bin``: score a network on one set of verification pairs or on several."""

from __future__ import annotations

from pathlib import Path

from distill.config.scoring_jobs import VerifyConf
from distill.data.damage import Damage
from distill.data.pairs import Pairs, pair_files, read_pairs
from distill.files.atomic import write_json
from distill.files.network_file import network_sha256
from distill.files.writable import require_writable
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import Verification, verify
from distill.progress import waiting
from distill.report.terminal import print_figures, print_verification
from distill.runs.model_file import model_file
from distill.runs.requirements import require_at_least, require_folds
from teachers.onnx_network import OnnxNetwork, describe

FILE = "verify.json"
COLUMNS = ("verification", "accuracy", "interval", "TPR at FPR 0.001", "pairs")


def run(conf: VerifyConf) -> int:
    """Print the table and write ``verify.json`` beside the model or into ``out``."""
    require_at_least(conf, batch_size=1, bootstrap=1, seed=0)
    model, paths = model_file(conf.model), pair_files(conf.pairs)
    network = OnnxNetwork(model)
    source = describe(network.preprocessing, network.preprocessing_source)
    about = {"model": str(model), "model_sha256": network_sha256(model), "preprocessing": source}
    out = require_writable((Path(conf.out) if conf.out else model.parent) / FILE)
    damage = Damage(conf.max_damaged)
    if len(paths) == 1:
        pairs = read_pairs(paths[0], damage)
        require_folds(paths[0], len(pairs), conf.folds)
        name, left_out, found = _scored(network, pairs, conf)
        print_verification(found.rows(), source)
        write_json(out, {**about, **damage.to_json(), **_json(name, left_out, found)})
        _tell(damage, left_out)
        return 0
    for path in paths:  # a broken set is refused before the first one costs minutes
        require_folds(path, len(read_pairs(path, damage)), conf.folds)
    each = [_scored(network, read_pairs(path, damage), conf) for path in paths]
    print_figures(COLUMNS, [_row(name, found) for name, _, found in each])
    print(f"preprocessing: {source}")
    write_json(out, {**about, **damage.to_json(), "sets": [_json(*one) for one in each]})
    _tell(damage, sum(left_out for _, left_out, _ in each))
    return 0


def _scored(network: OnnxNetwork, pairs: Pairs, conf: VerifyConf) -> tuple[str, int, Verification]:
    """The set's name, how many of its pairs are left out, and the scores of the others."""
    with waiting(f"embedding {pairs.name}", len(pairs.images), "images") as progress:
        embeddings = embed_flip_sum(network, pairs.images, conf.batch_size, progress)
    bootstrap = Bootstrap(resamples=conf.bootstrap, seed=conf.seed)
    left, right = embeddings[0::2], embeddings[1::2]
    found = verify(left, right, pairs.same, conf.folds, bootstrap=bootstrap, left_out=pairs.left_out)
    return pairs.name, len(pairs.left_out), found


def _row(name: str, found: Verification) -> tuple[str, ...]:
    """One set among several."""
    interval, rate = found.intervals.accuracy, found.tpr_at_fpr["0.001"]
    return (
        name,
        f"{found.accuracy_mean:.2%} ± {found.accuracy_std:.2%}",
        "-" if interval is None else f"{interval[0]:.2%} … {interval[1]:.2%}",
        "-" if rate is None else f"{rate:.4f}",
        f"{found.pairs:,}",
    )


def _json(name: str, left_out: int, found: Verification) -> dict[str, object]:
    return {"set": name, "pairs_left_out": left_out, **found.to_json()}


def _tell(damage: Damage, pairs: int) -> None:
    """What the figures are not of."""
    if len(damage):
        print(f"{damage.words()}, {pairs:,} pairs with them")
