from __future__ import annotations

import builtins
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from distill.data.unpickle import FileArray, unpickle
from distill.errors import UserError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Reduces:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def load(tmp_path: Path, content: bytes) -> object:
    (tmp_path / "set.bin").write_bytes(content)
    return unpickle(tmp_path / "set.bin")


def plain(value: object) -> object:
    """Stand-ins for arrays as numpy arrays."""
    if isinstance(value, FileArray):
        return np.array(value.values()).reshape(value.shape).tolist()
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bytes_and_verdicts(tmp_path: Path, protocol: int) -> None:
    content = ([b"", b"one", bytes(range(256)), b"x" * 70_000], [True, False, 1, 0, np.bool_(True), np.bool_(False)])
    assert load(tmp_path, pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_bytes_booleans_and_numbers(tmp_path: Path, protocol: int, order) -> None:
    arrays = [np.arange(256, dtype=np.uint8), np.zeros(0, np.uint8), np.array([True, False, True])]
    arrays += [np.arange(-3, 4), np.arange(4, dtype=">i2"), np.array([0.5, 1]), np.array([1, 0], np.float16)]
    arrays += [np.arange(4, dtype=np.uint8).reshape(4, 1), np.arange(4).reshape(1, 4), np.array(7)]
    read = load(tmp_path, pickle.dumps([np.array(a, order=order) for a in arrays], protocol))
    assert plain(read) == [a.tolist() for a in arrays]


def test_read_only_array_at_protocol_5(tmp_path: Path) -> None:
    array = np.frombuffer(b"abc", np.uint8)
    assert plain(load(tmp_path, pickle.dumps([array], 5))) == [[97, 98, 99]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_of_numpy_and_changeable_bytes_are_plain_values(tmp_path: Path, protocol: int) -> None:
    content = [np.int64(-1), np.uint8(255), np.float32(0.5), np.bytes_(b"abc"), np.void(b"a\0"), bytearray(b"\xffb")]
    read = load(tmp_path, pickle.dumps([*content, bytearray()], protocol))
    assert read == [-1, 255, 0.5, b"abc", b"a\0", b"\xffb", b""]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_array_of_objects_is_the_values_that_the_file_puts_there(tmp_path: Path, protocol: int) -> None:
    objects = np.array([b"a", True, None], object)
    read = load(tmp_path, pickle.dumps(objects, protocol))
    assert isinstance(read, FileArray)
    assert read.values() == [b"a", True, None]


@pytest.mark.parametrize(
    ("array", "encoded"),
    [
        (np.array([1, 255], np.uint8), b"\1\xff"),
        (np.array([1, -1], np.int8), b"\1\xff"),
        (np.array([b"a\0b"]), b"a\0b"),
        (np.array([1, 255]), b"\1\xff"),
        (np.array([1, 256]), None),
        (np.array([1, -1]), None),
        (np.array([1.0, 2.0]), None),
    ],
)
def test_an_array_is_a_file_where_its_elements_are_bytes(tmp_path: Path, array: np.ndarray, encoded) -> None:
    read = load(tmp_path, pickle.dumps(array, 4))
    assert isinstance(read, FileArray)
    assert read.encoded() == encoded


MARKER = "did_it_run"


def payloads(marker: Path) -> dict[str, bytes]:
    """Pickles that would leave the file ``marker``, or reach something that could."""
    touch = f"touch {marker}"
    made = {f"system{p}": pickle.dumps(([b"a"], [Reduces(os.system, touch)]), p) for p in PROTOCOLS}
    made |= {f"eval{p}": pickle.dumps(Reduces(eval, f"__import__('os').mkdir({str(marker)!r})"), p) for p in (2, 4)}
    made |= {f"getattr{p}": pickle.dumps(Reduces(getattr, Reduces(__import__, "os"), "system"), p) for p in (2, 4)}
    made["inst"] = f"(S'{touch}'\nios\nsystem\n.".encode()
    made["obj"] = f"(cos\nsystem\nS'{touch}'\no.".encode()
    made["newobj"] = b"\x80\x02csubprocess\nPopen\n" + f"V{touch}\n".encode() + b"\x85\x81."
    made["dotted"] = b"\x80\x04\x8c\x05numpy\x8c\x20ndarray.__class__.__subclasses__\x93)R."
    made["dotted module"] = b"\x80\x04\x8c\x18numpy.core.multiarray.os\x8c\x06system\x93."
    made["permitted module"] = b"\x80\x02cnumpy\nload\nVx.npy\n\x85R."
    made["builtin"] = b"\x80\x02c__builtin__\nexec\nVimport os\n\x85R."
    made["codecs"] = b"\x80\x02c_codecs\nlookup\nVrot13\n\x85R."
    made["persistent"] = b"Pos.system\n."
    return made


def test_the_payloads_are_real(tmp_path: Path) -> None:
    for name in ("system0", "system2", "system4", "inst", "obj", "eval2"):
        pickle.loads(payloads(tmp_path / name)[name])
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", list(payloads(Path(MARKER))))
def test_code_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    marker = tmp_path / MARKER
    with pytest.raises(
        UserError, match=r"set\.bin: asks to run \S+.*: refused|asks to run an object outside"
    ) as caught:
        load(tmp_path, payloads(marker)[name])
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_an_array_of_objects_runs_nothing_either(tmp_path: Path) -> None:
    marker = tmp_path / MARKER
    with pytest.raises(UserError, match=r"asks to run posix\.system: refused"):
        load(tmp_path, pickle.dumps(np.array([Reduces(os.system, f"touch {marker}")], dtype=object), 4))
    assert not marker.exists()


def test_the_refusal_names_the_function(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"asks to run posix\.system: refused"):
        load(tmp_path, pickle.dumps(Reduces(os.system, "true")))


def test_nothing_named_by_a_file_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *a, **k: imported.append(name) or real(name, *a, **k))
    with pytest.raises(UserError):
        load(tmp_path, b"\x80\x02cantigravity\nfly\n.")
    assert "antigravity" not in imported


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff not a pickle", "but a JPEG picture"),
        (b"\x80\x63.", "is no complete verification set"),
        (pickle.dumps([b"x" * 1000] * 3)[:-400], "is no complete verification set"),
        (b"\x80\x04\x95", "is no complete verification set"),
        (b"\x80\x02J\x01", "is no complete verification set"),
        (b"\x80\x02" + RECONSTRUCT + b"}K\x01K\x02sb.", "sets the state of a function"),
        (b"\x80\x02" + RECONSTRUCT + b"N}X\x05\x00\x00\x00_callK\x02s\x86b.", "sets the state of a function"),
        (b"\x80\x02" + RECONSTRUCT + b")\x81.", "is no complete verification set"),
        (b"\x80\x02" + RECONSTRUCT + b")R(K\x01K\x05\x85K\x00\x89C\x05abcdetb.", "without a dtype"),
        (
            b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00c8\x85R.",
            "holds an array of 'c8'; expected numbers, .* write the set",
        ),
        (b"\x80\x02cnumpy\nndarray\nK\x05\x85R.", "calls numpy.ndarray itself"),
        (b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "bytes made from something else"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "expected latin1"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"abc.", "sizes that do not fit|no complete"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.", "sizes that do not fit|no complete"),
        (b"\x80\x05\x97.", "is no complete verification set"),
        (b"\x80\x02\x82\x01.", "is no complete verification set"),
    ],
)
def test_broken_and_hostile_files_end_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        load(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_advice_is_a_copy_only_where_the_end_of_the_file_is_missing(tmp_path: Path) -> None:
    for whole in (pickle.dumps(np.array([1j])), b"\x80\x02]\x82\x01."):
        with pytest.raises(UserError, match="write the set again from its images"):
            load(tmp_path, whole)
    with pytest.raises(UserError, match="copy it again"):
        load(tmp_path, pickle.dumps([b"x" * 100])[:-10])


def test_a_huge_memo_index_costs_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".") == []


def test_an_array_must_have_as_many_bytes_as_its_shape(tmp_path: Path) -> None:
    good = pickle.dumps(np.arange(5, dtype=np.uint8), 2)
    assert good.count(b"K\x05\x85") == 1
    with pytest.raises(UserError, match=r"an array of shape \(6,\) with 5 bytes"):
        load(tmp_path, good.replace(b"K\x05\x85", b"K\x06\x85"))


def test_any_single_byte_may_be_wrong(tmp_path: Path) -> None:
    """Whatever one byte (each third is tried) is changed to, the result is a value or a UserError."""
    rng = np.random.default_rng(0)
    for protocol in (2, 4, 5):
        good = pickle.dumps(([np.arange(9, dtype=np.uint8), b"abc"], [True, np.bool_(False)]), protocol)
        for at in range(0, len(good), 3):
            content = bytearray(good)
            content[at] ^= int(rng.integers(1, 256))
            with suppress(UserError):
                load(tmp_path, bytes(content))
