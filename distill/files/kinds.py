"""Kinds of files that users pass by mistake: name, advice and signature of each.

Signatures are the published ones: those of ``file``'s magic and of the libraries' own headers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of file as text ("a PDF document") and advice, with placeholders {path}, {folder} and {name}."""

    words: str
    advice: str = ""


_DOWNLOAD = "an address was saved in place of the file behind it: download the file itself"
_STATE = "torch.save(network.state_dict(), 'weights.pth') writes weights that can be read"
_WEIGHTS = "its place is teacher.weights=FILE with the network's own teacher=NAME; torch.onnx.export makes ONNX of it"
_EXPORT = "export the network to ONNX, with tf2onnx for one"


EMPTY = Kind("empty", "download or copy it again")
ZEROS = Kind("all zeros", "it was never written to its end: download or copy it again")
TEXT = Kind("a text")
JSON = Kind("a JSON text")
PICKLE = Kind("a Python pickle, as verification sets (.bin) are", "a verification set's place is pairs=FILE.bin")
ONNX = Kind("an ONNX network", "its place is model=FILE.onnx, or teacher=onnx teacher.weights=FILE.onnx")
CHECKPOINT = Kind("a PyTorch checkpoint", _WEIGHTS)
LIGHTNING = Kind("a Lightning checkpoint", "a run's network lies in its student.safetensors and its student.onnx")
TORCHSCRIPT = Kind(
    "a TorchScript program",
    "torch.save(torch.jit.load({path!r}).state_dict(), 'weights.pth') writes its weights; ONNX has to be exported from "
    "the network that it was made of",
)
EXPORTED = Kind("an exported program of PyTorch (.pt2)", _STATE)
SAFETENSORS = Kind("a safetensors file", _WEIGHTS)
SIGNALS = Kind("a file of stored teacher outputs", "a store's place is signals=FOLDER")
CENTRES = Kind("a run's file of class centres", "the network of a run lies beside it, in student.safetensors")
NUMPY = Kind("a NumPy array (.npy)", "make score features=FILE.npy takes one")
NUMPY_ZIP = Kind("a NumPy archive (.npz)", "np.load reads it")
FEATURES = Kind("a feature file of the challenge", "its place is features=FILE.bin")
RECORDS = Kind("a RecordIO file", "its place is data=recordio data.root=FOLDER, as train.rec with train.idx")
PICTURES = {
    name: Kind(f"a {name} picture")
    for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "HEIC or AVIF", "Photoshop", "JPEG 2000", "JPEG XL")
}
VIDEO = Kind("a video")
FOLDER = Kind("a folder", "name the file in it")
RUN_FOLDER = Kind("the folder of a run", "name student.onnx or student.safetensors in it")
LFS = Kind("a Git LFS pointer and not the file itself", "run `git lfs pull` in {folder}")
ANNEX = Kind("a git-annex pointer and not the file itself", "run `git annex get {name}` in {folder}")
HTML = Kind("an HTML page", _DOWNLOAD)
XML = Kind("an XML text, as servers send in place of a file", _DOWNLOAD)
UTF16 = Kind("a text in UTF-16", "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 {name} > NEW`")
ZIP = Kind("a zip archive", "unpack it: `unzip {name}`")
CUT_ZIP = Kind("a zip archive that is cut short or damaged", "download or copy it again")
CUT_CHECKPOINT = Kind("a PyTorch checkpoint that is cut short or damaged", "download or copy it again")
PDF = Kind("a PDF document")
OFFICE = Kind("an office document", "save its content as plain UTF-8 text")
KERAS = Kind("a Keras network", _EXPORT)
TENSORFLOW = Kind("a TensorFlow network", _EXPORT)
TFLITE = Kind("a TensorFlow Lite network", "expected the network that it was made of: " + _EXPORT)
MXNET = Kind("weights of MXNet", "export the network to ONNX with mxnet.onnx.export_model")
MXNET_GRAPH = Kind("a network description of MXNet", "export it with its .params to ONNX: mxnet.onnx.export_model")
TEXTS = (TEXT, JSON)


def _unpacked_by(words: str, command: str) -> Kind:
    return Kind(words, f"unpack it: `{command} {{name}}`")


SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
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
    (0, b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file, as Keras and MATLAB write", _EXPORT)),
    (0, b"MATLAB 5.0", Kind("a MATLAB file", "scipy.io.loadmat reads it")),
    (4, b"TFL3", TFLITE),
    (4, b"ORTM", Kind("a network in onnxruntime's own format (.ort)", "give the .onnx file that it was made of")),
    (0, b"\x12\x01" + bytes(6), MXNET),
    (0, b"GGUF", Kind("a GGUF network")),
    (0, b"ftrt", Kind("a TensorRT engine", "give the ONNX file that it was made of")),
    (0, b"ptrt", Kind("a TensorRT engine", "give the ONNX file that it was made of")),
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
    (8, b"WAVE", Kind("a sound")),
    (0, b"\x1a\x45\xdf\xa3", VIDEO),
    (4, b"ftyphei", PICTURES["HEIC or AVIF"]),
    (4, b"ftypmif", PICTURES["HEIC or AVIF"]),
    (4, b"ftypavi", PICTURES["HEIC or AVIF"]),
    (4, b"ftyp", VIDEO),
    (0, b"SQLite format 3\x00", Kind("an SQLite database")),
    (16, b"\xde\xc0\xef\xbe", Kind("an LMDB database")),
    (0, b"PAR1", Kind("a Parquet table")),
    (0, b"ARROW1", Kind("an Arrow table")),
    (0, b"\x7fELF", Kind("a program")),
    (0, b"\xff\xfe", UTF16),
    (0, b"\xfe\xff", UTF16),
)
"""Of binary files: place, bytes, kind; the first that fits."""


TEXT_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
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
