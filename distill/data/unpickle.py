"""A safe reader for verification sets, which are pickles: a pickle is a program, and nothing of it is run here.

Nothing that a file names is ever imported. The dozen names that lists of bytes, numbers and plain arrays need are
replaced by small stand-ins of our own (not even numpy's reconstructors see the file's bytes); any other name is
refused. Protocols 0 to 5, from Python 2 and from Python 3.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distill.errors import UserError
from distill.files.foreign import foreign, refuse_foreign
from distill.files.kinds import PICKLE, TEXT

_KINDS = re.compile(r"[|=<>]?(b1|\?|[Bb]|[iu][1248]|f[248]|O[48]?|[VS]\d+)")


class Refused(Exception):
    """The pickle names something outside the list; the message is its dotted name."""


class _Foreign(ValueError):
    """The pickle is complete, but holds something that no verification set does; the message names it."""


class _Kind:
    """Stands for a numpy dtype: booleans, numbers, fixed lengths of bytes, and objects, which the file itself holds."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if not (known := _KINDS.fullmatch(text)):
            raise _Foreign(f"an array of {text!r}; expected numbers, booleans or bytes")
        self.code, self.order = known[1], text[0] if text[0] in "<>" else "<"

    def __setstate__(self, state: object) -> None:
        """Of a dtype's state only the byte order matters here."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        self.order = ">" if order in (">", b">") else "<"

    @property
    def objects(self) -> bool:
        return self.code.startswith("O")

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class FileArray:
    """Stands for a numpy array or scalar; its elements lie in ``content`` in memory order, as bytes or as a list."""

    __slots__ = ("content", "kind", "shape")

    def __init__(self) -> None:
        self.content: bytes | list[object] = b""
        self.kind, self.shape = _Kind("u1"), (0,)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, object]) -> None:
        _, shape, kind, _, content = state
        self.fill(content, kind, shape)

    def fill(self, content: object, kind: object, shape: object) -> FileArray:
        """Take the elements over; raises ``ValueError`` if their number does not fit the shape."""
        if not isinstance(kind, _Kind) or not isinstance(shape, tuple):
            raise ValueError("an array without a dtype or a shape")
        if not isinstance(content, list if kind.objects else bytes | bytearray):
            raise ValueError("an array whose elements are missing")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"an array of shape {shape}")
        if math.prod(shape) * (1 if kind.objects else kind.numpy().itemsize) != len(content):
            raise ValueError(f"an array of shape {shape} with {len(content)} bytes")
        self.content, self.kind, self.shape = content if isinstance(content, list) else bytes(content), kind, shape
        return self

    @property
    def flat(self) -> bool:
        """Whether at most one axis is longer than 1: then C and Fortran order are the same."""
        return sum(side != 1 for side in self.shape) <= 1

    def values(self) -> list[object]:
        """The elements as Python bools, numbers and bytes, or as the objects of the file."""
        if isinstance(self.content, list):
            return self.content
        return np.frombuffer(self.content, self.kind.numpy()).tolist()

    def encoded(self) -> bytes | None:
        """The encoded file that the elements are: elements of bytes, or one number per byte; None for others."""
        if isinstance(self.content, bytes) and (self.kind.numpy().kind in "SV" or self.kind.numpy().itemsize == 1):
            return self.content
        values = [value for value in self.values() if type(value) is int and 0 <= value < 256]
        return bytes(values) if len(values) == math.prod(self.shape) else None


class _Answer:
    """What a permitted name evaluates to: callable, but without attributes that a pickle could set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)  # past our own __setattr__

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise ValueError(f"sets the attribute {name}")

    def __setstate__(self, _: object) -> None:
        raise ValueError("sets the state of a function")


def _encode(text: object, encoding: object) -> bytes:
    if encoding not in _LATIN_1 or not isinstance(text, str):
        raise ValueError(f"bytes in the encoding {encoding!r}; expected latin1")
    return text.encode("latin1")


def _scalar(kind: object, content: object) -> object:
    """A numpy scalar as a Python value: bool, int, float or bytes."""
    return FileArray().fill(content, kind, ()).values()[0]


def _bytes(*arguments: object) -> bytes:
    """``bytes`` and ``bytearray``: of nothing, of bytes, or of text and its encoding, as Python 2 writes them."""
    if not arguments:
        return b""
    if len(arguments) == 1 and isinstance(arguments[0], bytes | bytearray):
        return bytes(arguments[0])
    if len(arguments) != 2:
        raise ValueError("bytes made from something else")
    return _encode(*arguments)


def _bool(*arguments: object) -> bool:
    return bool(arguments and arguments[0])


def _array(*_: object) -> FileArray:
    return FileArray()


def _from_buffer(content: object, kind: object, shape: object, *_: object) -> FileArray:
    return FileArray().fill(content, kind, shape)


def _nothing(*_: object) -> object:
    raise ValueError("calls numpy.ndarray itself")


_LATIN_1 = ("latin1", "latin-1", b"latin1", b"latin-1")
_MULTIARRAY = {"_reconstruct": _Answer(_array), "scalar": _Answer(_scalar)}
_BUILTIN = {"bytes": _Answer(_bytes), "bytearray": _Answer(_bytes), "bool": _Answer(_bool)}
_PERMITTED = {
    "numpy": {"ndarray": _Answer(_nothing), "dtype": _Answer(_Kind)},
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": {"_frombuffer": _Answer(_from_buffer)},
    "numpy._core.numeric": {"_frombuffer": _Answer(_from_buffer)},
    "_codecs": {"encode": _Answer(_encode)},
    "builtins": _BUILTIN,
    "__builtin__": _BUILTIN,
}


_BROKEN = (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError, struct.error)


class _Reader(pickle._Unpickler):
    """Python's pure reader: the one in C allocates gigabytes of memo if a file of ten bytes asks for it."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _PERMITTED[module][name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: object) -> object:
        raise Refused("an object outside the file")


def unpickle(path: Path) -> object:
    """The file's value, of None, bools, ints, floats, bytes, str, ``FileArray`` and containers of these.

    Raises ``UserError`` in one line where the file asks for anything else, is truncated or is no pickle.
    """
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path}: is empty; expected a verification set; copy it again")
    refuse_foreign(path, "a verification set (.bin)", PICKLE, TEXT)
    try:
        # Python 2's str stay bytes: they are the encoded images
        return _Reader(io.BytesIO(content), encoding="bytes").load()
    except Refused as refused:
        raise UserError(
            f"{path}: asks to run {refused}: refused; a verification set needs only bytes, numbers and arrays of them"
        ) from refused
    except _Foreign as other:
        raise UserError(f"{path}: holds {other}; {EXPECTED}") from other
    except _BROKEN as error:
        problem = foreign(path, "a verification set (.bin)", PICKLE)
        raise UserError(
            problem or f"{path}: is no complete verification set ({_one_line(error)}); {_advice(content)}"
        ) from error
    # sizes in a pickle are 8 bytes: a damaged one asks for exabytes
    except (MemoryError, OverflowError) as error:
        raise UserError(f"{path}: claims sizes that do not fit ({_one_line(error)}): damaged or hostile") from error


EXPECTED = "expected a pickle of (images, same) as InsightFace writes it, so write the set again from its images"


def _advice(content: bytes) -> str:
    """Advice: copy it again if the end is missing; a file that ends as a pickle does was written so."""
    return (
        EXPECTED if content.endswith(pickle.STOP) else "its end is missing or it is another kind of file: copy it again"
    )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
