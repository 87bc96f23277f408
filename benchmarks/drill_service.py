"""A nightly service of computed pictures for the fault drill: two drops, a linear teacher, students of a few steps."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import simplejpeg
from onnx import TensorProto, helper, numpy_helper

from distill.cli import main
from distill.config.build import build
from distill.config.compose import load
from distill.data.pairs import write_pairs
from distill.runs.export import write_network

PEOPLE, PICTURES, PAIRS = 12, 5, 40
MARGINS = [f"judge.margin.{figure}=0.99" for figure in ("accuracy", "auc", "tpr_at_fpr")]
"""As wide as they go: the drill is about what survives, and forty pairs tell nothing of a student of four steps."""
UNCAUGHT = 99

Hook = Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """How a start of the job ended: its exit status, or minus the signal that killed it, and its output."""

    status: int
    out: str
    err: str


class Service:
    """The folders of a service. A start is a process of its own, forked from this one, which has imported all."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.drops = folder, folder / "nightly", folder / "drops"
        self.benchmarks, self.teacher = folder / "benchmarks", folder / "teacher.onnx"
        for path in (self.drops, self.benchmarks):
            path.mkdir(parents=True)
        write_teacher(self.teacher)
        write_benchmark(self.benchmarks / "lfw_drill.bin")
        self.put("2026-01-01", {person: range(PICTURES) for person in range(PEOPLE)})
        self._import_all()

    def _import_all(self) -> None:
        """Import what a night needs, down to what an export imports when it is first made."""
        import_module("distill.nightly.stages.plan")
        conf = load("nightly", self.options())
        network = build(conf.student.network, "student.network")
        write_network(network, self.folder / "imported.onnx", "none", conf.export)

    def put(self, drop: str, people: Mapping[int, range]) -> None:
        """A drop with these pictures of each person."""
        for person, numbers in people.items():
            for number in numbers:
                self.put_file(f"{drop}/person-{person}/{number}.jpg", picture(person, number))

    def put_file(self, name: str, content: bytes) -> None:
        path = self.drops / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def options(self, *more: str) -> list[str]:
        small = ("widths=[8,8,8,8]", "units=[1,1,1]", "last_channels=16")
        return [
            *(f"student.network.{option}" for option in small),
            *("teacher=onnx", f"teacher.weights={self.teacher}"),
            *(f"drops={self.drops}", f"benchmarks={self.benchmarks}", f"root={self.root}"),
            *("trainer=smoke", "trainer@continued=smoke", "tracking=none", "judge.floor=0.01", "judge.resamples=200"),
            *MARGINS,
            *more,
        ]

    def start(self, *more: str, hook: Hook | None = None, environment: Mapping[str, str] | None = None) -> int:
        """Start the job in a process of its own, whose number is returned; ``hook`` is called in it first."""
        if process := os.fork():
            return process
        status = UNCAUGHT
        try:
            for stream, name in ((1, "out"), (2, "err")):
                opened = os.open(self.folder / f"{name}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(opened, stream)
            os.environ.update(environment or {})
            if hook is not None:
                hook()
            status = main(["nightly", *self.options(*more)])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def wait(self, process: int) -> Ended:
        """Wait for a start to end."""
        _, code = os.waitpid(process, 0)
        said = [self.folder / f"{name}.{process}" for name in ("out", "err")]
        texts = [path.read_text() if path.exists() else "" for path in said]
        for path in said:
            path.unlink(missing_ok=True)
        return Ended(os.waitstatus_to_exitcode(code), *texts)

    def run(self, *more: str, hook: Hook | None = None, environment: Mapping[str, str] | None = None) -> Ended:
        return self.wait(self.start(*more, hook=hook, environment=environment))

    def keep(self, name: str) -> None:
        """Remember the state of the service as ``name``."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.root, self.folder / name, symlinks=True)

    def restore(self, name: str) -> None:
        """Bring back a state that was kept."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.folder / name, self.root, symlinks=True, dirs_exist_ok=True)


def picture(person: int, number: int) -> bytes:
    """A pattern of seven by seven patches that is the person's own, under noise that is the picture's; as JPEG."""
    patches = np.random.default_rng(person).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng([person, number]).integers(-30, 31, (112, 112, 3))
    pixels = np.clip(np.kron(patches, np.ones((16, 16, 1), int)) + noise, 0, 255).astype(np.uint8)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "RGB", "444")


def write_benchmark(path: Path) -> None:
    """Pairs of people who are in no drop, every other one genuine."""
    rows = [(100 + k % 5, 100 + (k % 5 if k % 2 else (k + 1) % 5), k) for k in range(PAIRS)]
    encoded = [image for a, b, k in rows for image in (picture(a, 2 * k), picture(b, 2 * k + 1))]
    write_pairs(path, encoded, [a == b for a, b, _ in rows])


def write_teacher(path: Path, width: int = 32) -> None:
    """A teacher that knows the patterns: means over the patches, less the picture's mean, projected at random."""
    weights = np.random.default_rng(0).standard_normal((width, 3, 7, 7)).astype(np.float32)
    weights -= weights.mean((1, 2, 3), keepdims=True)
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Conv", ["pooled", "w"], ["map"]),
        helper.make_node("Flatten", ["map"], ["embedding"]),
    ]
    crops = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 112, 112])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])
    graph = helper.make_graph(nodes, "teacher", [crops], [embedding], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
