"""What ``auto`` comes to on machines of different kinds."""

from __future__ import annotations

import pytest
import torch

from distill.errors import UserError
from distill.training import machine
from distill.training.machine import COMPILE_PAYS_IMAGES, resolve


@pytest.fixture(params=[True, False], ids=["fast bf16", "no fast bf16"])
def fast_bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(machine, "has_fast_bf16", lambda device: request.param)
    return request.param


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("cpu")
def test_auto_takes_bf16_where_it_is_fast(fast_bf16: bool):
    assert resolve("auto", None, False, None, 1).precision == ("bf16" if fast_bf16 else "fp32")


@pytest.mark.usefixtures("gpu")
def test_auto_takes_no_fp16_on_a_gpu_of_its_own_accord(fast_bf16: bool):
    found = resolve("auto", None, False, None, 1)
    assert (found.device, found.precision) == ("cuda", "bf16" if fast_bf16 else "fp32")


@pytest.mark.usefixtures("cpu", "fast_bf16")
@pytest.mark.parametrize(("asked", "lightning"), [("fp32", "32-true"), ("bf16", "bf16-mixed")])
def test_what_was_asked_for_is_done(asked: str, lightning: str):
    found = resolve(asked, False, True, 3, 1)
    assert (found.device, found.precision, found.lightning_precision) == ("cpu", asked, lightning)
    assert (found.channels_last, found.compile, found.workers) == (False, True, 3)


@pytest.mark.usefixtures("cpu")
def test_fp16_needs_a_gpu():
    with pytest.raises(UserError, match=r"^trainer\.precision=fp16 needs a GPU; on this CPU use auto, bf16 or fp32$"):
        resolve("fp16", None, None, None, 1)


@pytest.mark.usefixtures("gpu")
def test_fp16_on_a_gpu_is_mixed():
    assert resolve("fp16", None, False, None, 1).lightning_precision == "16-mixed"


@pytest.mark.usefixtures("cpu")
def test_another_precision_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'fp8'; expected auto, fp32, bf16 or fp16"):
        resolve("fp8", None, None, None, 1)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(
    ("images", "compiler", "compiled"),
    [
        (COMPILE_PAYS_IMAGES - 1, True, False),
        (COMPILE_PAYS_IMAGES, True, True),
        (10 * COMPILE_PAYS_IMAGES, False, False),
    ],
)
def test_compiling_is_for_long_runs_with_a_compiler(
    monkeypatch: pytest.MonkeyPatch, images: int, compiler: bool, compiled: bool
):
    monkeypatch.setattr(machine, "can_compile", lambda: compiler)
    assert resolve("fp32", None, None, None, images).compile is compiled


@pytest.mark.usefixtures("cpu")
def test_a_compiler_is_looked_for_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "my-compiler")
    assert not machine.can_compile()
    (tmp_path / "my-compiler").write_text("")
    (tmp_path / "my-compiler").chmod(0o755)
    assert machine.can_compile()


@pytest.mark.parametrize(
    ("device", "cores", "workers"), [("cpu", 2, 1), ("cpu", 64, 1), ("cuda", 1, 1), ("cuda", 64, 8)]
)
def test_workers(monkeypatch: pytest.MonkeyPatch, device: str, cores: int, workers: int):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device == "cuda")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(cores)))
    found = resolve("fp32", None, False, None, 1)
    assert (found.workers, found.channels_last) == (workers, True)
    assert found.threads == torch.get_num_threads(), "what PyTorch really uses"
