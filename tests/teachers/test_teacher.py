from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from distill.errors import UserError
from distill.files.hashing import sha256
from distill.types import Preprocessing
from reference.tiny_network import TinyNetwork
from reference.tiny_onnx import TinyOnnx
from teachers.card import Card, write_card
from teachers.iresnet import IResNet
from teachers.onnx_network import METADATA_KEY, preprocessing_to_json
from teachers.teacher import FINGERPRINT_KEY, Frozen, Teacher, load_teacher
from teachers.weights import save_weights

BGR = Preprocessing("bgr", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
CENTRES = torch.arange(40.0).reshape(5, 8)


def crops(count: int = 4) -> Tensor:
    return torch.randint(0, 256, (count, 3, 112, 112), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def taught(folder: Path, network: nn.Module | None = None, **card: Any) -> Path:
    """Weights and card as our own teaching leaves them."""
    path = folder / "weights.safetensors"
    save_weights(network or TinyNetwork(), path, {FINGERPRINT_KEY: "abc"}, CENTRES)
    filled = {"sha256": sha256(path), "embedding_dim": 8, "preprocessing": BGR, **card}
    write_card(Card("tiny", "taught here", "MIT", **filled), folder / "card.yaml")
    return path


def test_taught_teacher_comes_back_the_same(tmp_path: Path) -> None:
    network = TinyNetwork().eval()
    path = taught(tmp_path, network)
    teacher = load_teacher("tiny", TinyNetwork(), path)
    torch.testing.assert_close(teacher.embed(crops()), network(BGR(crops())).detach())
    assert (teacher.name, teacher.embedding_dim, teacher.map_channels) == ("tiny", 8, {"stage4": 4})
    assert teacher.card.source == "taught here"


def test_maps_only_on_demand(tmp_path: Path) -> None:
    teacher = load_teacher("tiny", TinyNetwork(), taught(tmp_path))
    assert teacher.output(crops()).maps == {}
    assert teacher.output(crops(), maps=True).maps["stage4"].shape == (4, 4, 7, 7)


def test_preprocessing_may_be_overruled(tmp_path: Path) -> None:
    path = taught(tmp_path)
    assert load_teacher("tiny", TinyNetwork(), path).preprocessing == BGR
    assert load_teacher("tiny", TinyNetwork(), path, preprocessing=Preprocessing()).preprocessing == Preprocessing()


@pytest.mark.parametrize(("fingerprint", "used"), [("abc", True), ("other", False), (None, False)])
def test_classifier_serves_its_own_data_only(tmp_path: Path, fingerprint: str | None, used: bool) -> None:
    teacher = load_teacher("tiny", TinyNetwork(), taught(tmp_path), data_fingerprint=fingerprint)
    assert (teacher.classifier is not None) == used
    if teacher.classifier is not None:
        assert torch.equal(teacher.classifier, CENTRES)
    assert teacher.state_dict() == {}


def test_bf16_computes_otherwise_and_answers_in_float32(tmp_path: Path) -> None:
    path = taught(tmp_path)
    exact, fast = (load_teacher("tiny", TinyNetwork(), path, precision=p) for p in ("fp32", "bf16"))
    found = fast.output(crops(), maps=True)
    assert found.embedding.dtype == found.maps["stage4"].dtype == torch.float32
    cosine = F.cosine_similarity(exact.embed(crops()), found.embedding)
    assert cosine.min() > 0.999
    assert not torch.equal(exact.embed(crops()), found.embedding)


def test_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'fp8'; expected 'fp32' or 'bf16'"):
        load_teacher("tiny", TinyNetwork(), taught(tmp_path), precision="fp8")  # pyright: ignore[reportArgumentType]


def test_another_hash_than_the_card_says(tmp_path: Path) -> None:
    path = taught(tmp_path, sha256=hashlib.sha256(b"x").hexdigest())
    with pytest.raises(UserError, match=r"weights\.safetensors has another hash than its card says"):
        load_teacher("tiny", TinyNetwork(), path)


def test_another_width_than_the_card_says(tmp_path: Path) -> None:
    path = taught(tmp_path, embedding_dim=512)
    with pytest.raises(UserError, match="gives embeddings of width 8; its card says 512"):
        load_teacher("tiny", TinyNetwork(), path)


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_teacher("r152", TinyNetwork(), Path("weights/r152/none.safetensors"))
    assert str(caught.value) == (
        "teacher r152 has no weights at weights/r152/none.safetensors: train it with `make teacher teacher=r152 "
        "data=recordio data.root=DIR`, or name a file with teacher.weights=FILE"
    )
    with pytest.raises(UserError, match=r"name one with teacher\.weights=FILE\.onnx"):
        load_teacher("onnx", None, None)
    with pytest.raises(UserError, match=r"none\.onnx does not exist"):
        load_teacher("onnx", None, tmp_path / "none.onnx")


def test_without_a_card_the_shipped_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "backbone.pth"
    torch.save(IResNet([1, 1, 1, 1]).state_dict(), path)
    teacher = load_teacher("r100", IResNet([1, 1, 1, 1]), path)
    assert teacher.preprocessing.std == (127.5, 127.5, 127.5)
    with pytest.raises(UserError, match=r"teacher mine has no card: put card\.yaml beside"):
        load_teacher("mine", IResNet([1, 1, 1, 1]), path)


def test_named_card_goes_before_the_one_beside(tmp_path: Path) -> None:
    path = taught(tmp_path, sha256="0" * 64)
    write_card(Card("mine", "elsewhere", "MIT", Preprocessing()), tmp_path / "other.yaml")
    assert load_teacher("tiny", TinyNetwork(), path, card=tmp_path / "other.yaml").card.name == "mine"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("metadata", [False, True])
def test_preprocessing_of_an_onnx_teacher(tmp_path: Path, metadata: bool, named: bool) -> None:
    inside = Preprocessing(std=(100.0, 100.0, 100.0))
    kind = TinyOnnx(batch=1, metadata={METADATA_KEY: preprocessing_to_json(inside)} if metadata else {})
    path = kind.write(tmp_path / "net.onnx")
    write_card(Card("mine", "elsewhere", "MIT", BGR), tmp_path / "card.yaml")
    teacher = load_teacher("onnx", None, path, card=tmp_path / "card.yaml" if named else None)
    assert teacher.preprocessing == (inside if metadata and not named else BGR)
    assert teacher.output(crops(), maps=True).maps == {}
    torch.testing.assert_close(
        teacher.embed(crops()).double(),
        torch.from_numpy(kind.reference(teacher.preprocessing(crops()).numpy())),
        rtol=1e-4,
        atol=1e-4,
    )


def test_onnx_teacher_of_another_make(faces_root: Path) -> None:
    teacher = load_teacher("onnx", None, faces_root / "reference_teacher.onnx", precision="bf16")
    assert (teacher.embedding_dim, teacher.preprocessing) == (128, Preprocessing())
    alone = torch.cat([teacher.embed(one) for one in crops(3).split(1)])
    torch.testing.assert_close(teacher.embed(crops(3)), alone)


class Student(pl.LightningModule):
    """The least module that distils: what Lightning does to its children is what matters here."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * 16, 8)
        self.norm = nn.BatchNorm1d(8)
        self.teacher = teacher

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        (images,) = batch
        small = F.adaptive_avg_pool2d(images.float() / 255, 4)
        return F.mse_loss(self.norm(self.dense(small.flatten(1))), self.teacher.embed(images))

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.teacher.embed(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1, weight_decay=0.1)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_real_fit_leaves_the_teacher_alone(tmp_path: Path) -> None:
    teacher = load_teacher("tiny", TinyNetwork(), taught(tmp_path), data_fingerprint="abc")
    network = teacher._frozen.network
    before = copy.deepcopy(network.state_dict())
    module = Student(teacher)
    module.train()
    loader = DataLoader(TensorDataset(crops(8)), batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    weights = module.dense.weight.detach().clone()
    trainer.fit(module, loader, loader)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert not torch.equal(weights, module.dense.weight)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(m.training for m in network.modules())
    assert {key.split(".")[0] for key in content["state_dict"]} == {"dense", "norm"}
    held = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert held == {id(p) for p in (*module.dense.parameters(), *module.norm.parameters())}


# frozen networks


def parent() -> nn.ModuleDict:
    return nn.ModuleDict({"student": nn.Linear(2, 2), "teacher": Frozen(TinyNetwork())})


def test_invisible_to_its_parent() -> None:
    holder = parent()
    assert {n for n, _ in holder.named_parameters()} == {"student.weight", "student.bias"}
    assert list(holder.buffers()) == []
    assert set(holder.state_dict()) == {"student.weight", "student.bias"}
    assert not any(isinstance(m, nn.Conv2d | nn.BatchNorm2d) for m in holder.modules())


def test_train_cannot_wake_it() -> None:
    frozen = Frozen(TinyNetwork().train())
    nn.ModuleList([frozen]).train()
    frozen.train()
    assert not any(m.training for m in frozen.network.modules())
    before = copy.deepcopy(frozen.network.state_dict())
    frozen(torch.randn(4, 3, 14, 14))
    assert all(torch.equal(v, before[k]) for k, v in frozen.network.state_dict().items())


def test_gives_no_gradients() -> None:
    frozen = Frozen(TinyNetwork())
    x = torch.randn(2, 3, 14, 14, requires_grad=True)
    assert not frozen(x).requires_grad
    assert not frozen.forward_maps(x).maps["stage4"].requires_grad
    assert not any(p.requires_grad for p in frozen.network.parameters())


def test_to_reaches_it_through_the_parent() -> None:
    network = TinyNetwork()
    holder = nn.ModuleList([Frozen(network)])
    holder.double()
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    holder.to("meta")
    assert {p.device.type for p in network.parameters()} == {"meta"}
