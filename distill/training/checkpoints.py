"""Atomic checkpoints, and a training loop cut into intervals between them.

A Lightning "epoch" is one interval here, so a run always resumes at a boundary that Lightning knows how to resume
exactly; passes over the data are the batch sampler's business.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from distill.errors import UserError
from distill.files.atomic import replacing
from distill.training.module import Distiller


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames, so that a full disk or a kill leaves the last good checkpoint intact.

    The contents are synced before the rename, and the rename before this returns: checkpoints survive a power cut.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        target = Path(path)
        try:
            with replacing(target, target.with_name(f"{target.name}.partial")) as file:  # the run's folder is locked
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # torch's zip writer turns a short write into a RuntimeError
            if not _disk_trouble(error):
                raise
            good = f"the last good checkpoint {target} is untouched" if target.exists() else "there is no earlier one"
            raise UserError(
                f"cannot write the checkpoint {target}: {_reason(error)}; {good}. "
                "Free some space and give the same command again"
            ) from error


def _disk_trouble(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, OSError) or any(
        # what torch's zip writer (caffe2/serialize/inline_container.cc) and libc write of a failed write
        mark in text
        for mark in ("PytorchStreamWriter", "unexpected pos", "file write failed", "No space left")
    )


def _reason(error: Exception) -> str:
    # under torch's RuntimeError lies the OSError of the file that it wrote to
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "the disk is full or the file system refused the write"


class Checkpoints(pl.Callback):
    """Saves after every interval and records on the module which checkpoint is the last good one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Distiller)
        if self.path.exists():
            pl_module.last_checkpoint = str(self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Distiller)
        # first: a checkpoint of NaN weights would replace the last good one
        _check_finite(trainer.global_step, pl_module)
        trainer.save_checkpoint(self.path)
        pl_module.last_checkpoint = f"{self.path} (step {trainer.global_step})"


def _check_finite(step: int, module: Distiller) -> None:
    """A finite loss can have gradients that are not: weights that they ruined never replace a good checkpoint."""
    bad = next((name for name, weight in module.named_parameters() if not weight.isfinite().all()), None)
    if bad is not None:
        raise UserError(
            f"training stopped at step {step}: the weights {bad} are not finite; the last good checkpoint is "
            f"{module.last_checkpoint}. Try a lower trainer.optimizer.lr or a longer warm-up"
        )
