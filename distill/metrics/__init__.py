"""Arrays in, numbers out: how well embeddings tell persons apart."""

from __future__ import annotations

from distill.metrics.bootstrap import Bootstrap
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.roc import auc, roc_curve, similarity_histogram, tpr_at_fpr
from distill.metrics.verification import Verification, verify

__all__ = [
    "Bootstrap",
    "Verification",
    "auc",
    "embed_flip_sum",
    "roc_curve",
    "similarity_histogram",
    "tpr_at_fpr",
    "verify",
]
