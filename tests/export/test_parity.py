from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from distill.errors import UserError
from distill.export.onnx_file import Exported
from distill.export.parity import Parity, parity, random_images


def _spoil(path: Path, value: float) -> None:
    """Add ``value`` to one number of the largest weight."""
    model = onnx.load(path)
    largest = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    weights = numpy_helper.to_array(largest).copy()
    weights.flat[7] += value
    largest.CopyFrom(numpy_helper.from_array(weights, largest.name))
    onnx.save(model, path)


@pytest.mark.parametrize("value", [0.05, float("nan")])
def test_a_tampered_file_fails(network: nn.Module, copy_of: Path, value: float) -> None:
    _spoil(copy_of, value)
    found = parity(network, copy_of, random_images(7))
    with pytest.raises(UserError, match="differs from PyTorch"):
        found.require(max_relative=1e-5, max_cosine=1.0)


def test_the_figures_are_those_of_a_slow_loop(network: nn.Module, copy_of: Path) -> None:
    _spoil(copy_of, 0.3)
    images = random_images(3, seed=4)
    found = parity(network, copy_of, images, (1, 3))
    session = onnxruntime.InferenceSession(str(copy_of))
    absolute, cosine, scale = 0.0, 0.0, 0.0
    for image in images:
        with torch.no_grad():
            mine = network(image[None])[0].double().numpy()
        other = np.asarray(session.run(None, {"images": image[None].numpy()})[0], np.float64)[0]
        absolute = max(absolute, float(np.abs(mine - other).max()))
        cosine = max(cosine, 1 - float(mine @ other / np.linalg.norm(mine) / np.linalg.norm(other)))
        scale = max(scale, float(np.abs(mine).max()))
    assert found.max_abs == pytest.approx(absolute, rel=1e-3)
    assert found.max_cosine == pytest.approx(cosine, rel=1e-3)
    assert found.max_relative == pytest.approx(absolute / scale, rel=1e-3)
    assert (found.images, found.batches) == (3, (1, 3))


@pytest.mark.parametrize(("relative", "cosine"), [(2e-4, 0.0), (0.0, 2e-6), (float("nan"), 0.0), (0.0, float("nan"))])
def test_require_names_the_figures(relative: float, cosine: float) -> None:
    with pytest.raises(UserError, match=re.escape(f"relative {relative:.3g} (limit 0.0001")):
        Parity(1.0, relative, cosine, 7, (1, 2)).require(max_relative=1e-4, max_cosine=1e-6)
    Parity(1.0, 1e-4, 1e-6, 7, (1, 2)).require(max_relative=1e-4, max_cosine=1e-6)


def test_a_file_that_is_no_model(network: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    for name in ("broken.onnx", "absent.onnx"):
        with pytest.raises(UserError, match=f"{name} is not a model") as caught:
            parity(network, tmp_path / name, random_images(7))
        assert "\n" not in str(caught.value)


def test_a_fixed_batch_is_found_out(network: nn.Module, copy_of: Path) -> None:
    model = onnx.load(copy_of)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, copy_of)
    with pytest.raises(UserError, match="fails on a batch of 2"):
        parity(network, copy_of, random_images(7))


def test_one_image_some_and_an_odd_number_of_them_are_compared(network: nn.Module, exported: Exported) -> None:
    assert parity(network, exported.path, random_images(7)).batches == (1, 2, 7)


def test_another_width_is_found_out(exported: Exported) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 112 * 112, 8)).eval()
    with pytest.raises(UserError, match="shape"):
        parity(network, exported.path, random_images(2), (2,))


def test_noise_is_normalised_and_repeatable() -> None:
    images = random_images(2, seed=3)
    assert torch.equal(images, random_images(2, seed=3))
    assert not torch.equal(images, random_images(2, seed=4))
    assert images.min() >= -127.5 / 128
    assert images.max() <= 127.5 / 128
