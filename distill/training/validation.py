"""A network scored on verification pairs: while it trains, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from distill.data.pairs import Pairs
from distill.metrics.embedding import embed_flip_sum
from distill.metrics.verification import Verification, verify
from distill.training.module import Distiller, Report
from distill.types import Embedder, FaceNetwork, Preprocessing


class EvalEmbedder:
    """An ``Embedder`` around a network in training: eval mode and float32 or bf16 for the time of a call."""

    def __init__(self, network: FaceNetwork, preprocessing: Preprocessing, bf16: bool = False) -> None:
        self._network, self._preprocessing, self._bf16 = network, preprocessing, bf16

    @property
    def embedding_dim(self) -> int:
        return self._network.embedding_dim

    def embed(self, images: Tensor) -> Tensor:
        """RGB uint8 crops [b 3 h w] to float32 embeddings [b d]; the network's mode is left as it was."""
        weight = next(self._network.parameters())  # its device is the network's
        training = self._network.training
        self._network.eval()
        try:
            pixels = self._preprocessing(images.to(weight.device)).contiguous(memory_format=torch.channels_last)
            with torch.no_grad(), torch.autocast(weight.device.type, torch.bfloat16, enabled=self._bf16):
                return self._network(pixels).float()
        finally:
            self._network.train(training)


def score(embedder: Embedder, pairs: Pairs, batch_size: int = 64) -> Verification:
    """The standard protocol on one set: flip-sum, ten folds."""
    embeddings = embed_flip_sum(embedder, pairs.images, batch_size)  # (2p, d): both images of a pair in turn
    return verify(embeddings[0::2], embeddings[1::2], pairs.same, left_out=pairs.left_out)


class VerificationDuringTraining(pl.Callback):
    """Scores the trained network at the first checkpoint after every ``every_steps`` steps, and at the end."""

    def __init__(self, pairs: Sequence[Pairs], every_steps: int, on_values: Report, bf16: bool) -> None:
        self._pairs, self._every_steps, self._on_values, self._bf16 = pairs, every_steps, on_values, bf16

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Distiller)
        step, total = trainer.global_step, pl_module.recipe.total_steps
        # optimiser steps at the last checkpoint: one Lightning epoch is the interval between two
        before = step - trainer.num_training_batches // trainer.accumulate_grad_batches
        if step < total and step // self._every_steps == before // self._every_steps:
            return
        embedder = EvalEmbedder(pl_module.trained, pl_module.preprocessing, self._bf16)
        for pairs in self._pairs:
            self._on_values(step, named_scores(pairs.name, score(embedder, pairs)))


def named_scores(name: str, found: Verification) -> Mapping[str, float]:
    """A verification as series: ``verification/SET/accuracy`` and so on; what is undefined is left out."""
    values: dict[str, float | None] = {"accuracy": found.accuracy_mean, "auc": found.auc}
    values |= {f"tpr_at_fpr_{fpr}": tpr for fpr, tpr in found.tpr_at_fpr.items()}
    return {f"verification/{name}/{key}": value for key, value in values.items() if value is not None}
