"""Rank distillation: a pair of images has to stand as high among the student's scores as among the teacher's.

Source: EKD (Huang et al., Evaluation-oriented Knowledge Distillation for Deep Face Recognition, CVPR 2022) and
Tencent/TFace: recognition/tasks/ekd/distillation/ekd.py. A face recogniser is judged by which pairs pass the thresholds
of given false positive rates. So each network has such thresholds of its own, the cosines of its negative pairs at six
rates; the soft rank of a pair is the share of thresholds that its cosine passes, each counted by a sigmoid.

Deviations. (1) Half of the authors' batch is drawn so that its people come several times, and batches of all GPUs are
joined; here batches are drawn at random, and positive pairs are few where people have few images. A batch without any
counts 0. (2) The thresholds begin at those of the first batch and not at 0, from where they would need hundreds of
steps. (3) They move in training mode only. (4) Positive and negative pairs are two terms with weights of their own.
(5) Pairs of equal cosine at the end of the hardest ones all count. (6) Ranks are shares, where the authors count to 6:
gaps are at most 1, and their weights of 0.02 and 0.01 are 36 times as large here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distill.losses.base import Loss, require_classes, require_positive, require_within, teacher_dim, teacher_output
from distill.losses.cosine import cosines
from distill.types import LossDims, LossInputs

PAIRS_PER_FALSE_POSITIVE = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
"""The false positive rates 1e-1 to 1e-6. A batch with fewer negative pairs has its hardest one as the threshold."""


def pair_cosines(embeddings: Tensor) -> Tensor:
    """Cosines [k k] of the rows [k d], exactly symmetric, with 0 on the diagonal."""
    upper = cosines(embeddings, embeddings).triu(1)
    return upper + upper.T


def soft_ranks(similarity: Tensor, thresholds: Tensor, temperature: float) -> Tensor:
    """The share of the thresholds [r] that each entry of similarity [k k] passes, in [0, 1]."""
    # (k, k, r) -> (k, k)
    return torch.sigmoid((similarity[..., None] - thresholds) / temperature).mean(-1)


def hardest(similarity: Tensor, negative: Tensor, count: int) -> Tensor:
    """Of the pairs in the mask negative [k k], those with the ``count`` highest cosines in similarity: [k k]."""
    found = _ordered(similarity, negative)
    return negative if len(found) <= count else negative & (similarity >= found[count - 1])


def mean_over_pairs(gaps: Tensor, pairs: Tensor) -> Tensor:
    """Values [k] whose mean is that of gaps [k k] over the pairs in the symmetric mask [k k]; 0 if there are none.

    Each pair counts half for either of its images.
    """
    return len(gaps) * (gaps * pairs).sum(1) / pairs.sum().clamp_min(1)


def _ordered(similarity: Tensor, pairs: Tensor) -> Tensor:
    """The cosines of the pairs, each once, from the highest down."""
    return similarity[pairs.triu(1)].sort(descending=True).values


class Thresholds(nn.Module):
    """Running thresholds [6] of one network: exponential averages of the cosines at the false positive rates."""

    values: Tensor
    started: Tensor

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("values", torch.zeros(len(PAIRS_PER_FALSE_POSITIVE)))
        self.register_buffer("started", torch.tensor(False))

    @torch.no_grad()
    def forward(self, similarity: Tensor, negative: Tensor) -> Tensor:
        """The thresholds, in training mode after a move towards those of similarity [k k] at negative [k k]."""
        found = _ordered(similarity, negative)
        if self.training and len(found):
            now = found[[len(found) // pairs for pairs in PAIRS_PER_FALSE_POSITIVE]].to(self.values)
            self.values.copy_(torch.where(self.started, self.values.lerp(now, self.momentum), now))
            self.started.fill_(True)
        return self.values


class RankGaps(nn.Module):
    """Squared differences of the soft ranks of student and teacher, for every pair of a batch.

    Memory: 6 * batch^2 values. The thresholds of a distributed run follow the images of one process.
    """

    def __init__(self, temperature: float, momentum: float, sizes: LossDims, term: str) -> None:
        super().__init__()
        teacher_dim(sizes, term)
        require_classes(sizes, term)
        require_positive(term, "temperature", temperature)
        require_within(term, "momentum", momentum, (0, 1))
        self.temperature = temperature
        self.student, self.teacher = Thresholds(momentum), Thresholds(momentum)

    def forward(self, student: Tensor, teacher: Tensor, same: Tensor) -> Tensor:
        """Gaps [k k] in [0, 1] of the cosines [k k] of both, where ``same`` [k k] marks pairs of one person."""
        ranks = soft_ranks(student, self.student(student, ~same), self.temperature)
        return (ranks - soft_ranks(teacher, self.teacher(teacher, ~same), self.temperature)).square()


def _compared(step: LossInputs) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines [k k] of the student's pairs and of the teacher's, and whether a pair is of one person [k k]."""
    student, teacher = pair_cosines(step.student.embedding), pair_cosines(teacher_output(step).embedding)
    return student, teacher, step.labels[:, None] == step.labels


class PositiveRanks(Loss):
    """The ranks of pairs of one person."""

    needs_labels = True
    needs_teacher = True

    def __init__(self, temperature: float = 0.01, momentum: float = 0.01, *, sizes: LossDims) -> None:
        super().__init__()
        self.gaps = RankGaps(temperature, momentum, sizes, "PositiveRanks")

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher, same = _compared(step)
        gaps = self.gaps(student, teacher, same)
        return mean_over_pairs(gaps, same.logical_xor(torch.eye(len(same), dtype=torch.bool, device=same.device)))


class NegativeRanks(Loss):
    """The ranks of the ``count`` pairs of different people that the student finds most similar."""

    needs_labels = True
    needs_teacher = True

    def __init__(
        self, count: int = 2000, temperature: float = 0.01, momentum: float = 0.01, *, sizes: LossDims
    ) -> None:
        super().__init__()
        require_positive("NegativeRanks", "count", count)
        self.count = count
        self.gaps = RankGaps(temperature, momentum, sizes, "NegativeRanks")

    def per_sample(self, step: LossInputs) -> Tensor:
        student, teacher, same = _compared(step)
        gaps = self.gaps(student, teacher, same)
        return mean_over_pairs(gaps, hardest(student.detach(), ~same, self.count))
