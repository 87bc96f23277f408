"""The scores of a network on one set of verification pairs: as a row of a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from distill.config.scoring_jobs import VerifyConf
from distill.data.pairs import Pairs
from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import Verification, verify
from distill.progress import waiting
from teachers.onnx_network import OnnxNetwork

COLUMNS = ("verification", "accuracy", "interval", "TPR at FPR 0.001", "pairs")


@dataclass(frozen=True)
class SetScore:
    """The set's name, how many of its pairs are left out because of damaged images, and the scores of the others."""

    name: str
    left_out: int
    found: Verification

    @property
    def row(self) -> tuple[str, ...]:
        """The set's row among several; ``COLUMNS`` are its headers."""
        found, interval, rate = self.found, self.found.intervals.accuracy, self.found.tpr_at_fpr["0.001"]
        return (
            self.name,
            f"{found.accuracy_mean:.2%} ± {found.accuracy_std:.2%}",
            "-" if interval is None else f"{interval[0]:.2%} … {interval[1]:.2%}",
            "-" if rate is None else f"{rate:.4f}",
            f"{found.pairs:,}",
        )

    def to_json(self) -> dict[str, object]:
        return {"set": self.name, "pairs_left_out": self.left_out, **self.found.to_json()}


def score_set(network: OnnxNetwork, pairs: Pairs, conf: VerifyConf) -> SetScore:
    """Embed the pairs' images, each with its mirror image, and verify them by folds with a bootstrap of people."""
    with waiting(f"embedding {pairs.name}", len(pairs.images), "images") as progress:
        embeddings = embed_flip_sum(network, pairs.images, conf.batch_size, progress)
    bootstrap = Bootstrap(resamples=conf.bootstrap, seed=conf.seed)
    left, right = embeddings[0::2], embeddings[1::2]
    found = verify(left, right, pairs.same, conf.folds, bootstrap=bootstrap, left_out=pairs.left_out)
    return SetScore(pairs.name, len(pairs.left_out), found)
