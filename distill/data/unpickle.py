"""Verification sets are pickles, and a pickle is a program: this reads the harmless ones and runs none of it.

Nothing that a file names is ever imported. The dozen names that lists of bytes, booleans and uint8 arrays need are
answered by small stand-ins of our own (not even numpy's reconstructors see the file's bytes); any other name is
refused. Protocols 0 to 5, from Python 2 and from Python 3.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

from distill.file_kinds import PICKLE, TEXT
from distill.foreign import foreign, refuse_foreign
from distill.types import UserError

_BYTE_KINDS = {"u1": "u1", "B": "u1", "b1": "b1", "?": "b1"}


class Refused(Exception):
    """The pickle names something outside the list; the message is its dotted name."""


class _Kind:
    """Stands for a numpy dtype; only one-byte unsigned integers and booleans exist here."""

    __slots__ = ("code",)

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else str(code)
        if text.lstrip("|=<>") not in _BYTE_KINDS:
            raise ValueError(f"an array of {text!r}; expected uint8 or bool")
        self.code = _BYTE_KINDS[text.lstrip("|=<>")]

    def __setstate__(self, _: object) -> None:
        """Byte order and the like, which one byte does not have."""


class ByteArray:
    """Stands for a numpy array of bytes; ``content`` are its elements in memory order."""

    __slots__ = ("content", "shape")

    def __init__(self) -> None:
        self.content, self.shape = b"", (0,)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, object]) -> None:
        _, shape, kind, _, content = state
        self.fill(content, kind, shape)

    def fill(self, content: object, kind: object, shape: object) -> ByteArray:
        """Take the elements over; raises ``ValueError`` where they are not bytes or not as many as the shape says."""
        if not isinstance(kind, _Kind) or not isinstance(content, bytes | bytearray) or not isinstance(shape, tuple):
            raise ValueError("an array that does not hold bytes")
        if not all(type(side) is int and side >= 0 for side in shape) or math.prod(shape) != len(content):
            raise ValueError(f"an array of shape {shape} with {len(content)} bytes")
        self.content, self.shape = bytes(content), shape
        return self


class _Answer:
    """What a permitted name evaluates to: callable, but without attributes that a pickle could set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise ValueError(f"sets the attribute {name}")

    def __setstate__(self, _: object) -> None:
        raise ValueError("sets the state of a function")


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError(f"bytes in the encoding {encoding!r}; expected latin1")
    return text.encode("latin1")


def _scalar(kind: object, content: object) -> int | bool:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes) or len(content) != 1:
        raise ValueError("a numpy scalar that is not one byte")
    return bool(content[0]) if kind.code == "b1" else content[0]


def _bytes(*arguments: object) -> bytes:
    if arguments:
        raise ValueError("bytes made from something else")
    return b""


def _bool(*arguments: object) -> bool:
    return bool(arguments and arguments[0])


def _array(*_: object) -> ByteArray:
    return ByteArray()


def _from_buffer(content: object, kind: object, shape: object, *_: object) -> ByteArray:
    return ByteArray().fill(content, kind, shape)


def _nothing(*_: object) -> object:
    raise ValueError("calls numpy.ndarray itself")


_MULTIARRAY = {"_reconstruct": _Answer(_array), "scalar": _Answer(_scalar)}
_BUILTIN = {"bytes": _Answer(_bytes), "bool": _Answer(_bool)}
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
    """The reader written in Python: that in C fills gigabytes of memo where a file of ten bytes tells it to."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _PERMITTED[module][name]
        except KeyError:
            raise Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: object) -> object:
        raise Refused("an object outside the file")


def unpickle(path: Path) -> object:
    """The file's value, of None, bools, ints, floats, bytes, str, ``ByteArray`` and containers of these.

    Raises ``UserError`` in one line where the file asks for anything else, is truncated or is no pickle.
    """
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path}: is empty; expected a verification set; copy it again")
    refuse_foreign(path, "a verification set (.bin)", PICKLE, TEXT)
    try:
        return _Reader(io.BytesIO(content), encoding="bytes").load()
    except Refused as refused:
        raise UserError(
            f"{path}: asks to run {refused}: refused; a verification set needs only bytes, booleans and uint8 arrays"
        ) from refused
    except _BROKEN as error:
        told = foreign(path, "a verification set (.bin)", PICKLE)
        raise UserError(told or f"{path}: is no whole verification set ({_one_line(error)}); copy it again") from error
    except (MemoryError, OverflowError) as error:
        raise UserError(f"{path}: claims sizes that do not fit ({_one_line(error)}): damaged or hostile") from error


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
