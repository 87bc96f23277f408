"""Public weights as a user has them: a file that other code wrote, and what that code computes from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distill.config.groups import Precision, TeacherConf, WeightLayout
from distill.runs.assemble import open_teacher
from teachers.teacher import Teacher

Network = Mapping[str, Any]

IR: Network = {"_target_": "teachers.iresnet.IResNet", "block": "basic", "se": False, "embedding_dim": 512}
ATTENTION: Network = {"_target_": "teachers.attention.AttentionNet", "units": "ir_se", "embedding_dim": 512}
POLYFACE: Network = {"_target_": "teachers.polyface.PolyFace", "embedding_dim": 512, "feature": "normed"}


def used(network: nn.Module, gain: Literal["linear", "relu"] = "linear") -> nn.Module:
    """The network in eval mode with norms and slopes as training leaves them: none of them neutral."""
    generator = torch.Generator().manual_seed(0)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(draw(module.running_mean, -0.3, 0.3))
                module.running_var.copy_(draw(module.running_var, 0.5, 1.5))
                if module.affine:
                    module.weight.copy_(draw(module.weight, 0.5, 1.2))
                    module.bias.copy_(draw(module.bias, -0.3, 0.3))
            elif isinstance(module, nn.Conv2d | nn.Linear):
                # neither fading from layer to layer nor growing until a sigmoid is a step
                nn.init.kaiming_normal_(module.weight, nonlinearity=gain, generator=generator)
            elif isinstance(module, nn.PReLU):
                module.weight.copy_(draw(module.weight, 0.0, 0.5))
    return network.eval()


def crops(count: int = 2) -> Tensor:
    """RGB uint8 crops [count 3 112 112] of large coloured squares, which a network does not average away."""
    squares = torch.randint(0, 256, (count, 3, 7, 7), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return squares.repeat_interleave(16, 2).repeat_interleave(16, 3)


def saved(network: nn.Module, path: Path, wrap: Callable[[dict[str, Tensor]], Any] = dict) -> Path:
    torch.save(wrap(network.state_dict()), path)
    return path


def opened(network: Network, layout: str, path: Path, name: str = "mine") -> Teacher:
    """The teacher of the command line's teacher.layout and teacher.weights."""
    conf = TeacherConf(
        name=name,
        network=dict(network),
        weights=str(path),
        precision=Precision.fp32,
        layout=WeightLayout(layout),
    )
    teacher = open_teacher(conf, "")
    assert teacher is not None
    return teacher


def assert_same(teacher: Teacher, network: nn.Module, taken: Callable[[Tensor], Tensor]) -> None:
    """The teacher's embeddings of RGB crops are those of the public network, to whom its own code gives ``taken``.

    Up to 1e-4 of the largest value, as the parity of exports is measured.
    """
    images = crops()
    with torch.no_grad():
        expected = network(taken(images.double()).float())
    assert expected.std(dim=0).mean() > 1e-2, "the embeddings depend on the image"
    largest = float(expected.abs().max())
    torch.testing.assert_close(teacher.embed(images), expected, rtol=0, atol=1e-4 * largest)
