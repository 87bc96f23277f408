"""Small ONNX embedding files of every make: layouts, batches, outputs, dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


@dataclass
class TinyOnnx:
    """Means over 16x16 blocks, then a dense layer of ``width`` outputs; ``spatial`` keeps [b d 1 1]."""

    batch: int | str = "batch"
    width: int = 6
    channels_last: bool = False
    spatial: bool = False
    dtype: int = TensorProto.FLOAT
    size_px: int | str = 112
    extra_outputs_first: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def weights(self) -> np.ndarray:
        return np.random.default_rng(self.width).standard_normal((self.width, 3, 7, 7))

    def write(self, path: Path) -> Path:
        crop = [self.size_px, self.size_px]
        shape = [self.batch, *crop, 3] if self.channels_last else [self.batch, 3, *crop]
        head = [] if self.channels_last else [helper.make_node("Identity", ["input"], ["nchw"])]
        if self.channels_last:
            head = [helper.make_node("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2])]
        nodes = [
            *head,
            helper.make_node("AveragePool", ["nchw"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Conv", ["pooled", "w"], ["map"]),
            helper.make_node("Identity" if self.spatial else "Flatten", ["map"], ["embedding"]),
        ]
        tail = [1, 1] if self.spatial else []
        outputs = [helper.make_tensor_value_info("embedding", self.dtype, [self.batch, self.width, *tail])]
        for name in reversed(self.extra_outputs_first):
            outputs.insert(0, helper.make_tensor_value_info(name, self.dtype, None))
        model = helper.make_model(
            helper.make_graph(
                nodes,
                "tiny",
                [helper.make_tensor_value_info("input", self.dtype, shape)],
                outputs,
                [numpy_helper.from_array(self.weights().astype(helper.tensor_dtype_to_np_dtype(self.dtype)), "w")],
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=8,
        )
        helper.set_model_props(model, dict(self.metadata))
        onnx.save(model, path)
        return path

    def reference(self, crops: np.ndarray) -> np.ndarray:
        """The same in NumPy, float64: preprocessed [b 3 112 112] to [b d]."""
        pooled = crops.astype(np.float64).reshape(len(crops), 3, 7, 16, 7, 16).mean((3, 5))
        return np.einsum("bchw,dchw->bd", pooled, self.weights())
