"""Models on verification sets, for the page of curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.config.scoring_jobs import CurvesConf
from distill.curves.hard_pairs import of_verification
from distill.curves.page import ModelCurves, SetCurves
from distill.data.damage import Damage
from distill.data.pairs import Pairs, read_pairs
from distill.errors import UserError
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.operating import decades, fpr_grid, operating_points
from distill.metrics.roc import similarity_histogram
from distill.metrics.verification import distances
from distill.progress import waiting
from distill.runs.model_file import distinct_names, model_file, model_name
from teachers.onnx_network import OnnxNetwork


@dataclass(frozen=True)
class OpenModels:
    """Networks and files of pairs, each with the name that the page calls it by."""

    networks: Mapping[str, OnnxNetwork]
    pairs: Mapping[str, Path]
    damage: Damage


def open_models(models: Sequence[str], files: Sequence[str], max_damaged: int) -> OpenModels:
    """Every network open and every set read once, so that a broken one is known before the first embedding."""
    paths = [Path(file) for file in files]
    if absent := [path for path in paths if not path.is_file()]:
        raise UserError(f"{absent[0]}: no such file; expected a verification set (.bin)")
    networks = [OnnxNetwork(model_file(model)) for model in models]
    names = distinct_names([model_name(Path(model)) for model in models], "models")
    titles, damage = distinct_names(paths, "pairs"), Damage(max_damaged)
    for path in paths:
        same = read_pairs(path, damage).same
        if same.all() or not same.any():
            raise UserError(
                f"{path}: all pairs are {'genuine' if same.all() else 'impostor'}; expected some of each kind"
            )
    return OpenModels(dict(zip(names, networks, strict=True)), dict(zip(titles, paths, strict=True)), damage)


def verification_sets(opened: OpenModels, conf: CurvesConf) -> list[SetCurves]:
    """Every model on every set."""
    found = []
    for title, path in opened.pairs.items():
        pairs = read_pairs(path, opened.damage)
        if pairs.left_out:
            print(f"{title}: {len(pairs.left_out):,} pairs left out, with an image that cannot be read")
        judged = [_judge(network, name, pairs, conf) for name, network in opened.networks.items()]
        found.append(SetCurves(title, judged, "pairs", Bootstrap.confidence))
    return found


def _judge(network: OnnxNetwork, name: str, pairs: Pairs, conf: CurvesConf) -> ModelCurves:
    """Flip-sum and cosine, as ``make verify`` scores a set."""
    with waiting(f"{name}: embedding {pairs.name}", len(pairs.images), "images") as progress:
        embeddings = embed_flip_sum(network, pairs.images, conf.batch_size, progress)
    scores = 1 - distances(embeddings[0::2], embeddings[1::2]) / 2
    genuine = int(pairs.same.sum())
    impostor = len(pairs) - genuine
    shown, drawn = conf.fprs or decades(impostor), fpr_grid(impostor)
    fprs = sorted({*shown, *drawn}, reverse=True)
    points = operating_points(scores, pairs.same, fprs, Bootstrap(conf.bootstrap, seed=conf.seed))
    band = [point for point in points if point.tpr is not None]
    return ModelCurves(
        name,
        curve=[*((point.fpr, point.tpr) for point in reversed(band) if point.tpr is not None), (1.0, 1.0)],
        points=[point for point in points if point.fpr in shown],
        band=band,
        impostor=impostor,
        genuine=genuine,
        histogram=similarity_histogram(scores, pairs.same),
        hard=of_verification(pairs, scores, conf.hardest, conf.show_faces),
        note=f"preprocessing {network.expects}",
    )
