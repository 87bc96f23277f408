from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill.errors import UserError
from teachers.trial import _auc, _chance_deviation, try_teacher


class Fake:
    """An embedder with a given answer."""

    def __init__(self, embeddings: Tensor, width: int | None = None) -> None:
        self.embedding_dim = width or embeddings.shape[1]
        self.answers = embeddings
        self.at = 0

    def embed(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        self.at += len(images)
        return self.answers[self.at - len(images) : self.at]


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Noise, of which thumbnails know nothing; genuine and impostor pairs in blocks as in the real files."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * count, 3, 112, 112), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) < count // 2


def answers(count: int, skill: float) -> Tensor:
    """Embeddings in the order of the trial, genuine pairs first, which share a direction as far as skill goes."""
    generator = torch.Generator().manual_seed(1)
    found = torch.randn(count, 2, 16, generator=generator)
    found[: count // 2] += skill * torch.randn(count // 2, 1, 16, generator=generator)
    return found.flatten(0, 1)


def test_a_good_teacher_passes() -> None:
    result = try_teacher(Fake(answers(60, 3.0)), *pairs(60), expected_dim=16)
    assert result.pairs == 60
    assert result.auc > 0.98
    assert result.auc > result.least_auc > max(0.5, result.thumbnail_auc)


def test_chance_is_refused() -> None:
    with pytest.raises(UserError, match=r"teacher r152 scores like chance: AUC 0\.\d+ on 60 pairs") as caught:
        try_teacher(Fake(answers(60, 0.0)), *pairs(60), name="r152")
    assert "\n" not in str(caught.value)


def test_a_dead_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"like chance: AUC 0\.500"):
        try_teacher(Fake(torch.ones(120, 16)), *pairs(60))


def test_an_inverted_network_is_refused() -> None:
    images, same = pairs(60)
    backwards = answers(60, 3.0).unflatten(0, (-1, 2)).flip(0).flatten(0, 1)
    with pytest.raises(UserError, match="like chance"):
        try_teacher(Fake(backwards), images, same)


def test_thumbnails_set_the_bar() -> None:
    """Where pictures of one person are all but equal, a middling teacher has learned nothing."""
    images, same = pairs(60)
    images[1:60:2] = images[0:60:2]
    with pytest.raises(UserError, match="like chance"):
        try_teacher(Fake(answers(60, 1.0)), images, same)


def test_a_perfect_teacher_passes_where_thumbnails_are_perfect() -> None:
    images, same = pairs(60)
    images[1:60:2] = images[0:60:2]
    assert try_teacher(Fake(answers(60, 100.0)), images, same).auc == 1.0


def test_few_pairs_need_a_better_score() -> None:
    try_teacher(Fake(answers(200, 0.7)), *pairs(200))
    with pytest.raises(UserError, match=r"like chance: AUC 0\.[78].* below the 0\.89"):
        try_teacher(Fake(answers(20, 0.7)), *pairs(20))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(value: float) -> None:
    found = answers(60, 3.0)
    found[7, 3] = value
    with pytest.raises(UserError, match="NaN or infinite embeddings for 1 of 120 images"):
        try_teacher(Fake(found), *pairs(60))


def test_another_width_is_refused() -> None:
    with pytest.raises(UserError, match="gives embeddings of width 16; expected 512"):
        try_teacher(Fake(answers(60, 3.0)), *pairs(60), expected_dim=512)
    with pytest.raises(UserError, match="it says that their width is 512"):
        try_teacher(Fake(answers(60, 3.0), width=512), *pairs(60), expected_dim=512)


def test_takes_as_many_pairs_as_allowed_of_both_kinds() -> None:
    images, same = pairs(60)
    same[:50] = True
    same[50:] = False
    assert try_teacher(Fake(answers(20, 9.0)), images, same).pairs == 20
    assert try_teacher(Fake(answers(8, 100.0)), images, same, max_pairs=9).pairs == 8
    with pytest.raises(UserError, match="got 60 and 0"):
        try_teacher(Fake(answers(60, 3.0)), images, torch.ones(60, dtype=torch.bool))


def test_auc_counts_couples() -> None:
    generator = torch.Generator().manual_seed(3)
    embeddings, same = torch.randn(40, 4, generator=generator), torch.rand(20, generator=generator) < 0.5
    embeddings[6:8] = embeddings[4:6]  # a tie
    unit = [e / math.sqrt(float((e * e).sum())) for e in embeddings.double()]
    cosines = [float((unit[2 * i] * unit[2 * i + 1]).sum()) for i in range(20)]
    wins = [
        1.0 if cosines[i] > cosines[j] else 0.5 if cosines[i] == cosines[j] else 0.0
        for i in range(20)
        for j in range(20)
        if same[i] and not same[j]
    ]
    assert _auc(embeddings, same) == pytest.approx(sum(wins) / len(wins))


def test_deviation_of_chance_by_simulation() -> None:
    generator = torch.Generator().manual_seed(4)
    same = torch.arange(40) < 16
    found = [_auc(torch.randn(80, 3, generator=generator), same) for _ in range(2000)]
    assert torch.tensor(found).std().item() == pytest.approx(_chance_deviation(same), rel=0.05)
    assert torch.tensor(found).mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_on_real_faces_the_real_teacher_passes_and_an_untrained_one_does_not(faces_root: Path) -> None:
    from distill.data.pairs import read_pairs
    from teachers.card import shipped_card
    from teachers.iresnet import IResNet
    from teachers.teacher import Teacher, load_teacher

    found = read_pairs(faces_root / "lfw_dev.bin")
    real = load_teacher("onnx", None, faces_root / "reference_teacher.onnx")
    assert try_teacher(real, found.images, found.same, expected_dim=128).auc > 0.98
    card = shipped_card("r50")
    assert card is not None
    torch.manual_seed(0)
    untrained = Teacher("r50", IResNet([2, 2, 2, 2]), card, card.preprocessing, "bf16")
    with pytest.raises(UserError, match="teacher r50 scores like chance"):
        try_teacher(untrained, found.images, found.same, name="r50")
