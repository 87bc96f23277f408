from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from distill.data.augment import Augmentation, augmentation_rng
from distill.data.batches import FaceBatch, Plan, StepOrder
from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.faceset import Joined
from distill.data.module import FacesModule
from distill.data.recordio import RecordIOSet
from distill.data.views import NewViews
from distill.errors import UserError
from distill.types import UNLABELLED
from reference.recordio import payload, write_set

FIXTURES = Path(__file__).parents[1] / "fixtures"
PLAN = Plan(batch_size=8, total_steps=10, steps_per_interval=4, seed=1)
VIEWS = NewViews(Augmentation(), seed=1)


def batches(module: FacesModule, intervals: int = 3) -> list[FaceBatch]:
    loader = module.train_dataloader()
    taken = []
    for interval in range(intervals):
        loader.sampler.set_epoch(interval)  # pyright: ignore[reportAttributeAccessIssue]
        taken += list(loader)
    return taken


def spoil(root: Path, keys: list[int]) -> None:
    """Overwrite the middle of some JPEGs with an end-of-image marker."""
    offsets = [int(line.split()[1]) for line in (root / "train.idx").read_text().splitlines()]
    content = bytearray((root / "train.rec").read_bytes())
    for key in keys:
        middle = (offsets[key] + offsets[key + 1]) // 2
        content[middle : middle + 2] = b"\xff\xd9"
    (root / "train.rec").write_bytes(content)


def test_a_batch_is_the_images_that_the_order_names(many: Path) -> None:
    faces = Joined(RecordIOSet(many), [RecordIOSet(FIXTURES / "header")])
    order = StepOrder(len(faces), PLAN)
    for step, batch in enumerate(batches(FacesModule(faces, VIEWS, PLAN))):
        rows = order.batch(step)
        assert batch["images"].shape == (8, 3, 112, 112)
        assert batch["images"].dtype == torch.uint8
        assert batch["images"].is_contiguous(memory_format=torch.channels_last)
        assert batch["index"].tolist() == rows[:, 0].tolist()
        assert batch["labels"].dtype == torch.int64
        assert batch["labels"].tolist() == [i // 3 if i < 300 else UNLABELLED for i in rows[:, 0]]
        for image, (index, visit) in zip(batch["images"], rows.tolist(), strict=True):
            alone = Augmentation()(decode(faces.read(index)), augmentation_rng(1, index, visit))
            assert np.array_equal(image.numpy(), alone.transpose(2, 0, 1))


@pytest.mark.slow
def test_workers_change_nothing(many: Path) -> None:
    spoil(many, [5])
    faces = RecordIOSet(many)
    plan = Plan(batch_size=40, total_steps=10, steps_per_interval=4, seed=1)
    alone, helped = (batches(FacesModule(faces, VIEWS, plan, workers=w)) for w in (0, 2))
    assert len(alone) == len(helped) == 10
    for one, two in zip(alone, helped, strict=True):
        assert torch.equal(one["images"], two["images"])
        assert torch.equal(one["labels"], two["labels"])
        assert one["damaged"] == two["damaged"]
    assert sum(len(b["damaged"]) for b in helped) in (1, 2)


def test_damaged_images_are_replaced_by_the_next_whole_one(many: Path) -> None:
    spoil(many, [5, 6])
    plan = Plan(batch_size=300, total_steps=1, steps_per_interval=1, seed=0)
    (batch,) = batches(FacesModule(RecordIOSet(many), VIEWS, plan), 1)
    index = batch["index"].tolist()
    assert index.count(7) == 3
    assert not {5, 6} & set(index)
    assert batch["labels"].tolist() == [i // 3 for i in index]
    assert sorted({i for i, _ in batch["damaged"]}) == [5, 6]


class Learner(LightningModule):
    """Records what it was shown; its one weight is there for Lightning to train."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[list[int]] = []

    def training_step(self, batch: FaceBatch, _: int) -> torch.Tensor:
        self.shown.append(batch["index"].tolist())
        return self.weight * batch["images"].float().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class SaveEveryInterval(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path)


def fit(module: FacesModule, checkpoint: Path, intervals: int, resume: bool = False) -> Learner:
    learner = Learner()
    trainer = Trainer(
        max_epochs=intervals,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[SaveEveryInterval(checkpoint)],
    )
    trainer.fit(learner, module, ckpt_path=checkpoint if resume else None, weights_only=True)
    return learner


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_resumed_run_sees_the_batches_that_were_left(many: Path, tmp_path: Path, workers: int) -> None:
    def module() -> FacesModule:
        return FacesModule(RecordIOSet(many), VIEWS, PLAN, workers)

    undisturbed = fit(module(), tmp_path / "a.ckpt", 3).shown
    assert [len(batch) for batch in undisturbed] == [8] * 10
    for intervals in (1, 2):
        first = fit(module(), tmp_path / "b.ckpt", intervals).shown
        assert len(first) == 4 * intervals
        assert first + fit(module(), tmp_path / "b.ckpt", 3, resume=True).shown == undisturbed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_damaged_images_stop_the_run_in_one_line(
    many: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    spoil(many, list(range(100, 120)))
    module = FacesModule(RecordIOSet(many), VIEWS, Plan(50, 60, 60, 0), workers, max_damaged=3)
    expected = r"train\.rec key \d+ at offset \d+: incomplete JPEG .*: damaged, number 4 of this run; data\.max_damaged"
    with caplog.at_level(logging.WARNING), pytest.raises(UserError, match=expected) as caught:
        fit(module, tmp_path / "c.ckpt", 1)
    assert "\n" not in str(caught.value)
    skipped = [r.getMessage() for r in caplog.records if "skipped" in r.getMessage()]
    assert len(skipped) == 3
    assert all(re.search(r"key \d+ at offset \d+: incomplete JPEG", line) for line in skipped)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_image_is_reported_once_however_often_it_comes(
    many: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(many, [7, 200])
    module = FacesModule(RecordIOSet(many), VIEWS, Plan(100, 12, 4, 0), max_damaged=2)
    with caplog.at_level(logging.WARNING):
        shown = fit(module, tmp_path / "c.ckpt", 3).shown
    assert len(shown) == 12
    assert len(module.damage) == 2
    assert sum("skipped" in r.getMessage() for r in caplog.records) == 2


def test_a_set_without_one_whole_image_ends_the_run(tmp_path: Path) -> None:
    root = write_set(tmp_path / "s", {key: payload(b"nothing", 0.0) for key in range(3)}, classes=1)
    module = FacesModule(RecordIOSet(root), VIEWS, Plan(2, 1, 1, 0))
    (batch,) = batches(module, 1)
    with pytest.raises(UserError, match="number 3 of this run"):
        module.on_before_batch_transfer(batch, 0)


def test_no_damage_may_be_allowed() -> None:
    with pytest.raises(UserError, match=r"here: why: damaged, number 1 of this run; data\.max_damaged allows 0"):
        Damage(0, "data.max_damaged").note(4, "here: why")


def test_real_faces(faces_root: Path) -> None:
    faces = Joined(RecordIOSet(faces_root / "labelled"), [RecordIOSet(faces_root / "singles")])
    assert len(faces) == 12292 + 5552
    for batch in batches(FacesModule(faces, VIEWS, Plan(64, 4, 2, 0)), 2):
        assert batch["damaged"] == []
        assert batch["labels"].max() < 3791
        assert (batch["labels"] == UNLABELLED).any()
        assert 60 < batch["images"].float().mean() < 180
