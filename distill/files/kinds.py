"""Kinds of files that users pass by mistake: name, advice and signature of each.

Signatures are the published ones: those of ``file``'s magic and of the libraries' own headers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """A kind of file as text ("a PDF document") and advice, with placeholders {path}, {folder} and {name}."""

    words: str
    advice: str = ""


_DOWNLOAD = "an address was saved in place of the file behind it: download the file itself"
_STATE = "torch.save(network.state_dict(), 'weights.pth') writes weights that can be read"
_WEIGHTS = "its place is teacher.weights=FILE with the network's own teacher=NAME; torch.onnx.export makes ONNX of it"
_EXPORT = "export the network to ONNX, with tf2onnx for one"


EMPTY = FileKind("empty", "download or copy it again")
ZEROS = FileKind("all zeros", "it was never written to its end: download or copy it again")
TEXT = FileKind("a text")
JSON = FileKind("a JSON text")
PICKLE = FileKind("a Python pickle, as verification sets (.bin) are", "a verification set's place is pairs=FILE.bin")
ONNX = FileKind("an ONNX network", "its place is model=FILE.onnx, or teacher=onnx teacher.weights=FILE.onnx")
CHECKPOINT = FileKind("a PyTorch checkpoint", _WEIGHTS)
LIGHTNING = FileKind("a Lightning checkpoint", "a run's network lies in its student.safetensors and its student.onnx")
TORCHSCRIPT = FileKind(
    "a TorchScript program",
    "torch.save(torch.jit.load({path!r}).state_dict(), 'weights.pth') writes its weights; ONNX has to be exported from "
    "the network that it was made of",
)
EXPORTED = FileKind("an exported program of PyTorch (.pt2)", _STATE)
SAFETENSORS = FileKind("a safetensors file", _WEIGHTS)
SIGNALS = FileKind("a file of stored teacher outputs", "a store's place is signals=FOLDER")
CENTRES = FileKind("a run's file of class centres", "the network of a run lies beside it, in student.safetensors")
NUMPY = FileKind("a NumPy array (.npy)", "make score features=FILE.npy takes one")
NUMPY_ZIP = FileKind("a NumPy archive (.npz)", "np.load reads it")
FEATURES = FileKind("a feature file of the challenge", "its place is features=FILE.bin")
RECORDS = FileKind("a RecordIO file", "its place is data=recordio data.root=FOLDER, as train.rec with train.idx")
PICTURES = {
    name: FileKind(f"a {name} picture")
    for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "HEIC or AVIF", "Photoshop", "JPEG 2000", "JPEG XL")
}
VIDEO = FileKind("a video")
FOLDER = FileKind("a folder", "name the file in it")
RUN_FOLDER = FileKind("the folder of a run", "name student.onnx or student.safetensors in it")
LFS = FileKind("a Git LFS pointer and not the file itself", "run `git lfs pull` in {folder}")
ANNEX = FileKind("a git-annex pointer and not the file itself", "run `git annex get {name}` in {folder}")
HTML = FileKind("an HTML page", _DOWNLOAD)
XML = FileKind("an XML text, as servers send in place of a file", _DOWNLOAD)
UTF16 = FileKind("a text in UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 {name} > NEW`")
ZIP = FileKind("a zip archive", "unpack it: `unzip {name}`")
CUT_ZIP = FileKind("a zip archive that is cut short or damaged", "download or copy it again")
CUT_CHECKPOINT = FileKind("a PyTorch checkpoint that is cut short or damaged", "download or copy it again")
PDF = FileKind("a PDF document")
OFFICE = FileKind("an office document", "save its content as plain UTF-8 text")
KERAS = FileKind("a Keras network", _EXPORT)
TENSORFLOW = FileKind("a TensorFlow network", _EXPORT)
TFLITE = FileKind("a TensorFlow Lite network", "expected the network that it was made of: " + _EXPORT)
MXNET = FileKind("weights of MXNet", "export the network to ONNX with mxnet.onnx.export_model")
MXNET_GRAPH = FileKind("a network description of MXNet", "export it with its .params to ONNX: mxnet.onnx.export_model")
TEXTS = (TEXT, JSON)


def _unpacked_by(words: str, command: str) -> FileKind:
    return FileKind(words, f"unpack it: `{command} {{name}}`")


SIGNATURES: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\x1f\x8b", _unpacked_by("a gzip archive", "gunzip")),
    (4, b"1AY&SY", _unpacked_by("a bzip2 archive", "bunzip2")),
    (0, b"\xfd7zXZ\x00", _unpacked_by("an xz archive", "unxz")),
    (0, b"\x28\xb5\x2f\xfd", _unpacked_by("a zstd archive", "unzstd")),
    (0, b"\x04\x22\x4d\x18", _unpacked_by("an lz4 archive", "unlz4")),
    (0, b"\x1f\x9d", _unpacked_by("a compress archive", "uncompress")),
    (0, b"LZIP", _unpacked_by("an lzip archive", "lzip -d")),
    (0, b"7z\xbc\xaf\x27\x1c", _unpacked_by("a 7z archive", "7z x")),
    (0, b"Rar!\x1a\x07", _unpacked_by("a rar archive", "unrar x")),
    (257, b"ustar", _unpacked_by("a tar archive", "tar xf")),
    (0, b"\x93NUMPY", NUMPY),
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", CHECKPOINT),  # the number that torch.save wrote until 1.6
    (0, b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file, as Keras and MATLAB write", _EXPORT)),
    (0, b"MATLAB 5.0", FileKind("a MATLAB file", "scipy.io.loadmat reads it")),
    (4, b"TFL3", TFLITE),
    (4, b"ORTM", FileKind("a network in onnxruntime's own format (.ort)", "give the .onnx file that it was made of")),
    (0, b"\x12\x01" + bytes(6), MXNET),
    (0, b"GGUF", FileKind("a GGUF network")),
    (0, b"ftrt", FileKind("a TensorRT engine", "give the ONNX file that it was made of")),
    (0, b"ptrt", FileKind("a TensorRT engine", "give the ONNX file that it was made of")),
    (0, struct.pack("<I", 0xCED7230A), RECORDS),
    (0, b"%PDF", PDF),
    (0, b"\xff\xd8\xff", PICTURES["JPEG"]),
    (0, b"\x89PNG\r\n\x1a\n", PICTURES["PNG"]),
    (0, b"GIF8", PICTURES["GIF"]),
    (0, b"II*\x00", PICTURES["TIFF"]),
    (0, b"MM\x00*", PICTURES["TIFF"]),
    (0, b"8BPS", PICTURES["Photoshop"]),
    (0, b"\x00\x00\x00\x0cjP  ", PICTURES["JPEG 2000"]),
    (0, b"\x00\x00\x00\x0cJXL ", PICTURES["JPEG XL"]),
    (0, b"\xff\x0a", PICTURES["JPEG XL"]),
    (8, b"WEBP", PICTURES["WebP"]),
    (8, b"AVI ", VIDEO),
    (8, b"WAVE", FileKind("a sound")),
    (0, b"\x1a\x45\xdf\xa3", VIDEO),
    (4, b"ftyphei", PICTURES["HEIC or AVIF"]),
    (4, b"ftypmif", PICTURES["HEIC or AVIF"]),
    (4, b"ftypavi", PICTURES["HEIC or AVIF"]),
    (4, b"ftyp", VIDEO),
    (0, b"SQLite format 3\x00", FileKind("an SQLite database")),
    (16, b"\xde\xc0\xef\xbe", FileKind("an LMDB database")),
    (0, b"PAR1", FileKind("a Parquet table")),
    (0, b"ARROW1", FileKind("an Arrow table")),
    (0, b"\x7fELF", FileKind("a program")),
    (0, b"\xff\xfe", UTF16),
    (0, b"\xfe\xff", UTF16),
)
"""Of binary files: place, bytes, kind; the first that fits."""


TEXT_SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (b"version https://git-lfs", LFS),
    (b"version https://hawser", LFS),
    (b"/annex/objects/", ANNEX),
    (b"%PDF", PDF),
    (b"<?xml", XML),
    (b"<Error>", XML),
    (b"<svg", XML),
    (b"<net ", XML),
)
"""Of texts, after a byte order mark and white space."""
