"""The one LightningDataModule: faces in, batches out.

The content of a batch depends only on the face set's ``fingerprint``, the views, the plan (batch size, seed), the step
number and the number of processes; neither on the number of workers nor on earlier training.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import SpawnContext

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from distill.data.batches import FaceBatch, FaceBatches, Plan, StepOrder, StoredRows, as_it_is, use_one_thread
from distill.data.damage import Damage
from distill.data.faceset import FaceSet
from distill.data.views import Views


class FacesModule(LightningDataModule):
    """Batches of ``train`` for a trainer with ``use_distributed_sampler=False``: the order shards itself over ranks.

    One Lightning epoch is one interval of the plan. ``workers=0`` decodes in the training process. ``shown`` are the
    rows [n] of ``train`` that are shown, by default all; a damaged image is replaced by its neighbour nevertheless.
    """

    def __init__(
        self,
        train: FaceSet,
        views: Views,
        plan: Plan,
        workers: int = 0,
        max_damaged: int = 10,
        store: StoredRows | None = None,
        shown: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self._images, self._plan, self._workers = len(train) if shown is None else shown, plan, workers
        self._batches = FaceBatches(train, views, max_damaged, store)
        # at least one image has to be readable
        self.damage = Damage(min(max_damaged, len(train) - 1), "data.max_damaged")

    def train_dataloader(self) -> DataLoader[FaceBatch]:
        """The loader of the trainer's current interval.

        Lightning begins to fetch a resumed run's first batches before it calls ``set_epoch``, hence set here too, from
        the same counter (``current_epoch`` lags behind it after a checkpoint of ``on_train_epoch_end``).
        """
        trainer = self.trainer
        order = StepOrder(self._images, self._plan, *((trainer.global_rank, trainer.world_size) if trainer else ()))
        if trainer:
            order.set_epoch(trainer.fit_loop.epoch_progress.current.processed)  # pyright: ignore[reportAttributeAccessIssue]
        if not self._workers:
            use_one_thread(0)
        return DataLoader(
            self._batches,
            # the sampler yields whole batches, and so does the data set: nothing is collated
            batch_size=None,
            sampler=order,
            num_workers=self._workers,
            collate_fn=as_it_is,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=use_one_thread,
            multiprocessing_context=worker_context() if self._workers else None,
            # spawning a worker imports torch again: seconds for every interval
            persistent_workers=self._workers > 0,
        )

    def on_before_batch_transfer(self, batch: FaceBatch, dataloader_idx: int) -> FaceBatch:
        """Count the damaged images of every batch in the process that trains."""
        for index, what in batch["damaged"]:
            self.damage.note(index, what)
        batch["damaged"] = []
        return batch


def worker_context() -> SpawnContext:
    """Workers in clean processes, children of this one.

    Forking a process that has threads (ONNX Runtime, W&B) can lock up. Children of a fork server would outlive a
    killed run: PyTorch's workers end when their parent does, and the server waits for the workers.
    """
    return multiprocessing.get_context("spawn")
