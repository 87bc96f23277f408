"""A network scored while it trains: as it will be used, at the right steps, and without a trace."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import pytest
import pytorch_lightning as pl
import torch

from distill.data.augment import Augmentation
from distill.data.batches import Plan
from distill.data.module import FacesModule
from distill.data.pairs import Pairs
from distill.data.recordio import RecordIOSet
from distill.data.views import NewViews
from distill.losses.margin import CosFace
from distill.losses.objective import Objective, Term
from distill.metrics.verification import verify
from distill.training.module import Distiller, TrainingRecipe
from distill.training.settings import LearningRate, OptimizerSettings
from distill.training.validation import EvalEmbedder, VerificationDuringTraining, named_scores, score
from distill.types import LossDims, Preprocessing
from reference.recordio import payload, write_set
from reference.tiny_network import TinyNetwork

BGR = Preprocessing("bgr", (100.0, 110.0, 120.0), (50.0, 60.0, 70.0))


def crops(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 112, 112), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def pairs(count: int = 20) -> Pairs:
    """Pairs of a crop with itself under noise, and with another."""
    left = crops(count)
    noise = torch.randint(0, 30, left.shape, generator=torch.Generator().manual_seed(2))
    right = (left.int() // 2 + noise).to(torch.uint8)
    same = torch.arange(count) % 2 == 0
    right[~same] = right[~same].roll(1, 0)
    return Pairs("noisy", torch.stack([left, right], 1).flatten(0, 1), same.numpy())


@pytest.fixture
def network() -> TinyNetwork:
    torch.manual_seed(0)
    network = TinyNetwork()
    network.train()
    network(BGR(crops(8)))  # statistics that differ from those of a batch
    return network


@pytest.mark.parametrize("training", [True, False])
def test_embeds_as_in_use_and_leaves_the_network_as_it_was(network: TinyNetwork, training: bool):
    network.train(training)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    found = EvalEmbedder(network, BGR).embed(crops(3))
    assert [module.training for module in network.modules()] == [training] * 4
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not found.requires_grad
    torch.testing.assert_close(found, network.eval()(BGR(crops(3))).detach())


def test_an_error_leaves_it_in_training_too(network: TinyNetwork):
    with pytest.raises(RuntimeError):
        EvalEmbedder(network, BGR).embed(torch.zeros(1, 4, 112, 112, dtype=torch.uint8))
    assert network.training


def test_bf16_gives_float32_that_is_close(network: TinyNetwork):
    exact, rough = (EvalEmbedder(network, BGR, bf16).embed(crops(4)) for bf16 in (False, True))
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, rtol=0.05, atol=0.05)


def test_score_is_the_flip_sum_protocol(network: TinyNetwork):
    network.eval()
    some = pairs()
    with torch.no_grad():
        sums = network(BGR(some.images)) + network(BGR(some.images.flip(3)))
    unit = torch.nn.functional.normalize(sums.double()).numpy()
    expected = verify(unit[0::2], unit[1::2], some.same)
    found = score(EvalEmbedder(network, BGR), some, batch_size=7)
    assert found.accuracy_mean == pytest.approx(expected.accuracy_mean)
    assert found.auc == pytest.approx(expected.auc)


def test_what_is_undefined_is_no_series(network: TinyNetwork):
    found = named_scores("noisy", score(EvalEmbedder(network, BGR), pairs()))
    assert {"verification/noisy/accuracy", "verification/noisy/auc", "verification/noisy/tpr_at_fpr_0.1"} <= set(found)
    assert "verification/noisy/tpr_at_fpr_0.0001" not in found


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> RecordIOSet:
    images = {k: cv2.imencode(".png", crops(k + 1)[k].permute(1, 2, 0).numpy())[1].tobytes() for k in range(6)}
    folder = tmp_path_factory.mktemp("faces")
    return RecordIOSet(write_set(folder, {k: payload(image, float(k % 3)) for k, image in images.items()}, classes=3))


def steps_scored(faces: RecordIOSet, every_steps: int, steps: int, interval: int, accumulate: int = 1) -> list[int]:
    """The optimiser steps at which a run of so many steps is scored, in intervals of so many."""
    seen: list[int] = []

    def report(step: int, values: Mapping[str, float]) -> None:
        assert "verification/noisy/accuracy" in values
        seen.append(step)

    network = TinyNetwork()
    sizes = LossDims(network.embedding_dim, None, 3)
    recipe = TrainingRecipe(steps, OptimizerSettings(lr=1e-4), LearningRate(warmup_fraction=0.0))
    module = Distiller(network, Objective({"m": Term(CosFace(sizes=sizes))}, sizes), recipe, Preprocessing())
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-(-steps // interval),
        accumulate_grad_batches=accumulate,
        callbacks=[VerificationDuringTraining([pairs(12)], every_steps, report, bf16=False)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    plan = Plan(2, steps * accumulate, interval * accumulate, seed=1)
    trainer.fit(module, FacesModule(faces, NewViews(Augmentation(), plan.seed), plan))
    assert trainer.global_step == steps
    return seen


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("every_steps", "expected"), [(1, [2, 4, 6, 7]), (3, [4, 6, 7]), (4, [4, 7]), (5, [6, 7]), (100, [7])]
)
def test_scored_at_the_first_checkpoint_after_so_many_steps(
    faces: RecordIOSet, every_steps: int, expected: list[int], accumulate: int
):
    assert steps_scored(faces, every_steps, steps=7, interval=2, accumulate=accumulate) == expected


def test_a_run_that_ends_on_a_scored_step_is_scored_once(faces: RecordIOSet):
    assert steps_scored(faces, 2, steps=4, interval=2) == [2, 4]
