"""Every reader that refuses a file by its content names what the file really is, in one line of our own words."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_arrays

from distill.cli import main
from distill.config.compose import read_config
from distill.config.training_jobs import DistillConf
from distill.data.faceset import DamagedImage
from distill.data.ijb import IjbFolder, read_faces, read_template_pairs
from distill.data.pairs import read_pairs, write_pairs
from distill.data.recordio import RecordIOSet
from distill.errors import UserError
from distill.features.face_list import read_lines, read_people
from distill.features.feature_file import header, open_features
from distill.features.labelled_rows import open_rows
from distill.features.video import read_crop, read_video
from distill.files.foreign import foreign, kind_of
from distill.files.json_file import read_json
from distill.files.kinds import FEATURES, SAFETENSORS
from distill.files.network_file import NetworkFile
from distill.judge.benchmark import read_sidecar
from distill.runs.centres_file import read_learned
from distill.signals.manifest import read_manifest
from reference.tiny_network import TinyNetwork
from reference.tiny_onnx import TinyOnnx
from teachers.card import read_card
from teachers.onnx_network import OnnxNetwork
from teachers.teacher import load_teacher
from teachers.weights import load_into, read_weights, save_weights

LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 125205\n".encode()
PICTURE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
LIBRARIES = ("weights_only", "torch.serialization", "ONNXRuntimeError", "allow_pickle", "UserWarning", ".cc:", "0x")


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, PICTURE)[1].tobytes()


def written(save: Callable[[str], object], name: str = "file") -> Callable[[Path], bytes]:
    """What a library writes to a path."""

    def make(folder: Path) -> bytes:
        save(str(folder / name))
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        return content

    return make


def archive(names: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, inside in names.items():
            file.writestr(name, inside)
    return content.getvalue()


def tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.onnx"), io.BytesIO())
    return content.getvalue()


def traced(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(TinyNetwork().eval(), torch.zeros(1, 3, 112, 112)).save(path)  # pyright: ignore


def array(path: str) -> None:
    np.save(path, np.zeros((2, 3)))
    Path(f"{path}.npy").rename(path)


SOURCE = TinyNetwork()
STATE = SOURCE.state_dict()
FOREIGN: dict[str, tuple[bytes | Callable[[Path], bytes], str]] = {
    "lfs": (LFS, "a Git LFS pointer and not the file itself: run `git lfs pull` in "),
    "annex": (b"/annex/objects/MD5E-s1--0.bin\n", "a git-annex pointer .*git annex get"),
    "html": (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "an HTML page: .*download the file itself"),
    "bare html": (b"<html>\n404", "an HTML page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML text"),
    "zip": (archive({"a.bin": b"1"}), "a zip archive: unpack it: `unzip "),
    "cut zip": (archive({"a.bin": b"1"})[:-5], "a zip archive that is cut short"),
    "gzip": (gzip.compress(b"1" * 50), "a gzip archive: unpack it: `gunzip "),
    "bzip2": (bz2.compress(b"1" * 50), "a bzip2 archive: unpack it"),
    "xz": (lzma.compress(b"1" * 50), "an xz archive: unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(range(50)), "a zstd archive: unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(range(50)), "a 7z archive: unpack it"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(range(50)), "a rar archive: unpack it"),
    "tar": (tar(), "a tar archive: unpack it: `tar xf "),
    "torchscript": (written(traced, "net.pt"), r"a TorchScript program: torch.save\(torch.jit.load"),
    "checkpoint": (written(lambda path: torch.save(STATE, path)), "a PyTorch checkpoint"),
    "old checkpoint": (
        written(lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False)),
        "a PyTorch checkpoint",
    ),
    "lightning": (
        written(lambda path: torch.save({"state_dict": STATE, "pytorch-lightning_version": "2.6"}, path)),
        "a Lightning checkpoint",
    ),
    "safetensors": (written(lambda path: save_weights(SOURCE, Path(path))), "a safetensors file"),
    "signals": (
        save_arrays({"a": np.zeros(3)}, {"manifest": "0", "sha256": "0", "shard": "0"}),
        "a file of stored teacher outputs",
    ),
    "onnx": (written(lambda path: TinyOnnx().write(Path(path))), "an ONNX (network|file)"),
    "pairs": (written(lambda path: write_pairs(path, [encoded(".png")] * 4, [True, False])), "a Python pickle"),
    "npy": (written(array), "a NumPy array"),
    "npz": (written(lambda path: np.savez(path, a=np.zeros(3)), "a.npz"), "a NumPy archive"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(50), "a TensorFlow Lite network"),
    "tensorflow": (b"\x08\x01\x12\x90\x9a\x01\x0a" + bytes(50), "a TensorFlow network"),
    "mxnet": (b"\x12\x01" + bytes(60), "weights of MXNet"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "jpeg": (encoded(".jpg"), "a JPEG picture"),
    "png": (encoded(".png"), "a PNG picture"),
    "webp": (encoded(".webp"), "a WebP picture"),
    "tiff": (encoded(".tiff"), "a TIFF picture"),
    "bmp": (encoded(".bmp"), "a BMP picture"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(30), "a HEIC or AVIF picture"),
    "video": (b"\0\0\0\x18ftypisom" + bytes(30), "a video"),
    "recordio": (np.array([0xCED7230A, 24], "<u4").tobytes() + bytes(24), "a RecordIO file"),
    "features": (header(2, 3) + bytes(24), "a feature file"),
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "all zeros"),
    "utf-16": ("a.jpg\nb.jpg\n".encode("utf-16"), "a text in UTF-16: save it as UTF-8"),
    "json": (b'{"message": "Not Found", "status": 404}', "a JSON text"),
    "text": (b"Too many requests\n", "a text"),
}
PICTURES = {"jpeg", "png", "webp", "tiff", "bmp"}
TEXTS = {"text", "json", "empty"}


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str, str], Path]:
    """A file of a kind under a name."""

    def make(kind: str, name: str) -> Path:
        content = FOREIGN[kind][0]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content(tmp_path))
        return path

    return make


def record_folder(path: Path) -> RecordIOSet:
    """A RecordIO folder of which ``path`` is one file."""
    for name, content in {
        "train.rec": np.array([0xCED7230A, 24], "<u4").tobytes() + bytes(40),
        "train.idx": b"1\t0\n",
        "property": b"1,112,112",
    }.items():
        if name != path.name:
            path.with_name(name).write_bytes(content)
    return RecordIOSet(path.parent)


def ijb_folder(path: Path) -> IjbFolder:
    return IjbFolder(path.parent.parent, "ijbc")


READERS: dict[str, tuple[str, Callable[[Path], object], set[str]]] = {
    "onnx": ("net.onnx", OnnxNetwork, {"onnx"}),
    "check": ("net.onnx", lambda path: NetworkFile(path).model, {"onnx", "empty"}),
    "teacher": ("net.onnx", lambda path: load_teacher("onnx", None, path), {"onnx"}),
    "pairs": ("lfw.bin", read_pairs, {"pairs", "text", "empty"}),
    "weights": (
        "net.pth",
        lambda path: load_into(TinyNetwork(), read_weights(path)),
        {"checkpoint", "old checkpoint", "lightning", "safetensors"},
    ),
    "weights called ONNX": (
        "net.onnx",
        lambda path: load_into(TinyNetwork(), read_weights(path)),
        {"checkpoint", "old checkpoint", "lightning", "safetensors"},
    ),
    "weights by another name": (
        "net.safetensors",
        lambda path: load_into(TinyNetwork(), read_weights(path)),
        {"checkpoint", "old checkpoint", "lightning", "safetensors"},
    ),
    "centres": ("centres.safetensors", read_learned, {"checkpoint", "old checkpoint", "lightning", "safetensors"}),
    "records": ("set/train.rec", record_folder, {"recordio", "empty"}),
    "index": ("set/train.idx", record_folder, {"text", "empty"}),
    "property": ("set/property", record_folder, {"text", "empty", "utf-16"}),
    "list": ("list.txt", lambda path: read_lines(path, "image"), TEXTS),
    "labels": ("labels.txt", lambda path: read_people([(path, 1)]), TEXTS),
    "ijb faces": ("x/meta/ijbc_face_tid_mid.txt", lambda path: read_faces(ijb_folder(path)), TEXTS),
    "ijb pairs": (
        "x/meta/ijbc_template_pair_label.txt",
        lambda path: read_template_pairs(ijb_folder(path), np.arange(3)),
        TEXTS,
    ),
    "sidecar": ("lfw.tsv", lambda path: read_sidecar(path, np.array([True])), TEXTS),
    "features": ("a.bin", open_features, {"features", "empty"}),
    "rows": ("a.npy", open_rows, {"npy", "features"}),
    "rows of another name": ("a.bin", open_rows, {"npy", "features", "empty"}),
    "card": ("card.yaml", read_card, TEXTS),
    "configuration": ("config.yaml", lambda path: read_config(path, DistillConf), TEXTS),
    "json": ("metrics.json", read_json, TEXTS),
    "manifest": ("manifest.json", lambda path: read_manifest(path.parent), TEXTS),
    "picture": ("a.jpg", read_crop, PICTURES),
    "video": ("a.mp4", lambda path: list(read_video(path)), {"video"}),
}


def words_of(kind: str) -> str:
    """The name of a kind as an expression, without what to do."""
    return FOREIGN[kind][1].split(":")[0].split(" .")[0]


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_kind_is_known_by_its_content(kind: str, place) -> None:
    found = kind_of(place(kind, "some.file"))
    assert found is not None
    assert re.match(words_of(kind), found.words)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_every_reader_names_what_it_is_given(reader: str, kind: str, place, capfd: pytest.CaptureFixture[str]) -> None:
    name, read, own = READERS[reader]
    if kind in own:
        pytest.skip("is no foreign file to this reader")
    path, images = place(kind, name), reader in ("picture", "video")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(DamagedImage if images else UserError) as caught:
            read(path)
    told = str(caught.value)
    assert re.search(words_of(kind) if images else FOREIGN[kind][1], told)
    assert images or told.startswith(str(path))
    assert "\n" not in told
    assert not any(word in told for word in LIBRARIES)
    assert [str(one.message) for one in warned] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["checkpoint", "old checkpoint", "lightning", "safetensors"])
@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.safetensors", "net.ckpt", "net"])
def test_weights_are_read_whatever_their_file_is_called(kind: str, name: str, place) -> None:
    network = TinyNetwork()
    load_into(network, read_weights(place(kind, name)))
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


@pytest.mark.filterwarnings("ignore")
def test_the_advice_on_torchscript_makes_weights_that_are_read(place, tmp_path: Path) -> None:
    told = str(foreign(place("torchscript", "x.pt"), "weights"))
    (command,) = re.findall(r"but a TorchScript program: (torch\.save\(.*?\.pth'\))", told)
    exec(command.replace("'weights.pth'", repr(str(tmp_path / "weights.pth"))), {"torch": torch})
    load_into(TinyNetwork(), read_weights(tmp_path / "weights.pth"))


@pytest.mark.parametrize(("kind", "name"), [("features", "a.npy"), ("features", "a.bin")])
def test_features_are_read_whatever_their_file_is_called(kind: str, name: str, place) -> None:
    assert open_rows(place(kind, name)).shape == (2, 3)


def test_an_onnx_network_is_read_whatever_its_file_is_called(place) -> None:
    assert OnnxNetwork(place("onnx", "net.pth")).embedding_dim == 6


def test_a_folder_is_named_where_a_file_is_wanted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(UserError, match="run is not an ONNX file, but a folder: name the file in it"):
        OnnxNetwork(run)
    (run / "student.onnx").touch()
    with pytest.raises(UserError, match=r"but the folder of a run: name student\.onnx or student\.safetensors in it"):
        read_weights(run)


@pytest.mark.parametrize(
    "text",
    ["PAR1/1.jpg\nPAR2/1.jpg\n", "BZhang/1.jpg\n", "PK/1.jpg\n", "GIF8/1.jpg\n", "%anna/1.jpg\n", "\ufeffanna/1.jpg\n"],
)
def test_a_list_may_begin_like_another_format(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    assert len(read_lines(path, "image")) == text.count("\n")


@pytest.mark.parametrize("begin", [b"\x1f\x8b", b"\x80\x02", b"BM", b"\xff\xfe", b"\x08\x07:", b"PK"])
def test_a_count_of_rows_or_bytes_may_look_like_a_signature(tmp_path: Path, begin: bytes) -> None:
    rows = int.from_bytes(begin.ljust(4, b"\0"), "little")
    (tmp_path / "a.bin").write_bytes(header(rows, 3) + bytes(24))
    assert kind_of(tmp_path / "a.bin") == FEATURES
    length = int.from_bytes(begin.ljust(4, b"\0"), "little")
    names = b'{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (tmp_path / "a.pth").write_bytes(length.to_bytes(8, "little") + names.ljust(4096))
    assert kind_of(tmp_path / "a.pth") == SAFETENSORS


def test_what_nothing_is_known_of_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    assert kind_of(tmp_path / "a.bin") is None
    assert kind_of(tmp_path / "absent.bin") is None
    assert foreign(tmp_path / "a.bin", "a file") is None


def test_an_advice_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "two words" / "a b.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"1"))
    assert str(foreign(path, "a file")).endswith("unpack it: `gunzip 'a b.gz'`")
    path.write_bytes(LFS)
    assert str(foreign(path, "a file")).endswith(f"run `git lfs pull` in '{path.parent}'")


@pytest.mark.parametrize("name", ["lfs.onnx", "lfs.bin"])
def test_the_command_line_names_a_pointer_in_one_line(name: str, place, capfd: pytest.CaptureFixture[str]) -> None:
    path = place("lfs", name)
    pairs, model = place("pairs", "pairs.bin"), place("onnx", "good.onnx")
    given = [f"model={path}", f"pairs={pairs}"] if name.endswith("onnx") else [f"model={model}", f"pairs={path}"]
    assert main(["verify", *given]) == 2
    told = capfd.readouterr().err
    assert told.startswith(f"error: {path} is not ")
    assert "a Git LFS pointer" in told
    assert told.count("\n") == 1
