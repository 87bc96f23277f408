from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.data.damage import Damage
from distill.data.decode import decode
from distill.data.pairs import Pairs, read_pairs, write_pairs
from distill.errors import UserError

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def four(jpeg) -> list[bytes]:
    return [jpeg(n) for n in range(4)]


def write(tmp_path: Path, content: object, protocol: int = 4) -> Path:
    (tmp_path / "set.bin").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return tmp_path / "set.bin"


def check(path: Path, images: list[bytes], same: list[bool]) -> None:
    pairs = read_pairs(path)
    assert pairs.same.dtype == bool
    assert pairs.same.tolist() == same
    assert pairs.images.dtype == torch.uint8
    expected = np.stack([decode(i).transpose(2, 0, 1) for i in images])
    assert np.array_equal(pairs.images.numpy(), expected)


def python2_string(content: bytes) -> bytes:
    """A ``str`` of Python 2 at protocol 2: SHORT_BINSTRING or BINSTRING."""
    short = len(content) < 256
    return (b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content


def python2_array(content: bytes) -> bytes:
    """A uint8 array as numpy under Python 2 writes it at protocol 2."""
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    begin = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    size = b"J" + struct.pack("<i", len(content)) + b"\x85"
    return begin + b"(K\x01" + size + kind + b"\x89" + python2_string(content) + b"tb"


@pytest.mark.parametrize("element", [python2_string, python2_array])
def test_protocol_2_of_python_2(tmp_path: Path, four: list[bytes], element) -> None:
    images = b"](" + b"".join(element(i) for i in four) + b"e"
    check(write(tmp_path, b"\x80\x02" + images + b"](\x88\x89e\x86."), four, [True, False])
    as_numbers = b"\x80\x02" + images + b"](K\x01K\x00e\x86."
    check(write(tmp_path, as_numbers), four, [True, False])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_of_python_3(tmp_path: Path, four: list[bytes], protocol: int) -> None:
    arrays = [np.frombuffer(i, np.uint8) for i in four]
    check(write(tmp_path, (four, [False, True]), protocol), four, [False, True])
    check(write(tmp_path, [tuple(four), (False, True)], protocol), four, [False, True])
    check(write(tmp_path, (arrays, [np.bool_(False), np.bool_(True)]), protocol), four, [False, True])
    check(write(tmp_path, (arrays, np.array([False, True])), protocol), four, [False, True])


def as_written(image: bytes) -> dict[str, object]:
    """One encoded image in each of the ways in which people's scripts pickle it."""
    array = np.frombuffer(image, np.uint8)
    return {
        "bytes": image,
        "bytearray": bytearray(image),
        "row": array,
        "column of cv2.imencode": array.reshape(-1, 1),
        "row of one": array.reshape(1, -1),
        "cube": array.reshape(1, -1, 1),
        "void": np.void(image),
        "numpy's bytes": np.bytes_(image),
        "array of one": np.array([image]),
        "signed": array.view(np.int8),
        "wider": array.astype(np.int64),
    }


VERDICTS = {
    "booleans": [True, False],
    "numpy's booleans": [np.bool_(True), np.bool_(False)],
    "integers": [1, 0],
    "numpy's integers": [np.int64(1), np.int32(0)],
    "floats": [1.0, np.float32(0)],
    "tuple": (True, False),
    "rows of one": [[1], (0,)],
    "arrays of one": [np.array([1]), np.array(0)],
    "array": np.array([True, False]),
    "array of integers": np.array([1, 0]),
    "column": np.array([[1], [0]], np.uint8),
    "row": np.array([[1.0, 0.0]]),
    "other byte order": np.array([1, 0], ">i4"),
    "objects": np.array([True, 0], object),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_dialect_of_one_set_is_the_same_set(tmp_path: Path, four: list[bytes], protocol: int) -> None:
    for kind in as_written(b"kinds"):
        check(write(tmp_path, ([as_written(image)[kind] for image in four], [1, 0]), protocol), four, [True, False])
    for verdicts in VERDICTS.values():
        check(write(tmp_path, (four, verdicts), protocol), four, [True, False])


def test_lists_may_be_arrays_of_objects(tmp_path: Path, four: list[bytes]) -> None:
    for listed in (np.array(four, object), np.array(four, object).reshape(-1, 1), np.array(four)):
        check(write(tmp_path, (listed, [True, False])), four, [True, False])
    both = np.empty(2, object)
    both[:] = [four, [True, False]]
    check(write(tmp_path, both), four, [True, False])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_sets_written_with_numpy_1(protocol: int) -> None:
    pairs = read_pairs(FIXTURES / f"numpy1_protocol{protocol}.bin")
    assert pairs.name == f"numpy1_protocol{protocol}"
    assert pairs.same.tolist() == [True, False]
    assert torch.equal(pairs.images[0], pairs.images[2])
    assert not torch.equal(pairs.images[2], pairs.images[3])


def test_written_sets_come_back_and_are_plain_pickles(tmp_path: Path, four: list[bytes]) -> None:
    write_pairs(tmp_path / "own.bin", four, [True, False])
    check(tmp_path / "own.bin", four, [True, False])
    assert pickle.loads((tmp_path / "own.bin").read_bytes()) == (four, [True, False])
    assert os.listdir(tmp_path) == ["own.bin"]
    with pytest.raises(UserError, match="4 images for 1 verdicts"):
        write_pairs(tmp_path / "own.bin", four, [True])


def test_a_failed_write_leaves_the_old_set_and_no_litter(
    tmp_path: Path, four: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pairs(tmp_path / "own.bin", four, [True, False])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        write_pairs(tmp_path / "own.bin", four, [False, False])
    assert os.listdir(tmp_path) == ["own.bin"]
    check(tmp_path / "own.bin", four, [True, False])


def test_every_bad_set_is_refused_in_one_line(tmp_path: Path, four: list[bytes], jpeg) -> None:
    cases: list[tuple[object, str]] = [
        ((four, [True]), "has 4 images and 1 verdicts; expected two images for every verdict"),
        ((four[:3], [True, False]), "has 3 images and 2 verdicts"),
        (([], []), "has 0 images and 0 verdicts"),
        ((four, [True, 2]), "no list of booleans"),
        ((four, [True, "no"]), "no list of booleans"),
        ((four, None), "no list of booleans"),
        (four, "holds no pair of lists"),
        ({"images": four}, "holds no pair of lists"),
        ((four[0], [True]), "holds no pair of lists"),
        (([*four[:3], four[3][:-50]], [True, False]), "image 2 of pair 1 of 2: incomplete JPEG"),
        (([four[0], b"", *four[2:]], [True, False]), "image 2 of pair 0 of 2: is empty; expected JPEG, PNG"),
        (([*four[:2], jpeg(0, 128), four[3]], [True, False]), "image 1 of pair 1 of 2: is 128x128"),
        (([*four[:2], "text", four[3]], [True, False]), "image 1 of pair 1 of 2: is neither bytes nor"),
        (
            ([*four[:3], np.zeros((112, 112, 3), np.uint8)], [True, False]),
            r"image 2 of pair 1 of 2: is an array of shape .112, 112, 3.; expected an encoded image",
        ),
        ((four, [[True, False]]), "no list of booleans"),
        ((four, [0.5, 1]), "no list of booleans"),
        ((np.zeros((4, 5), np.uint8), [True, False]), "holds no pair of lists"),
        (pickle.dumps((four, [True, False]))[:-20], "is no complete verification set"),
    ]
    for content, reason in cases:
        path = write(tmp_path, content)
        with pytest.raises(UserError, match=reason) as caught:
            read_pairs(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"absent\.bin: no such file"):
        read_pairs(tmp_path / "absent.bin")


@pytest.mark.parametrize(
    ("same", "different", "count", "expected"),
    [(300, 300, 200, (100, 100)), (3, 300, 200, (3, 197)), (5, 5, 100, (5, 5)), (0, 9, 4, (0, 4))],
)
def test_thinned_keeps_both_kinds(same: int, different: int, count: int, expected: tuple[int, int]) -> None:
    verdicts = np.array([True] * same + [False] * different)
    images = torch.arange(2 * len(verdicts)).view(-1, 1, 1, 1)
    few = Pairs("x", images, verdicts).thinned(count)
    assert (few.same.sum(), (~few.same).sum()) == expected
    left, right = few.images[0::2].flatten(), few.images[1::2].flatten()
    assert torch.equal(right, left + 1)
    assert verdicts[left.numpy() // 2].tolist() == few.same.tolist()
    assert len(set(left.tolist())) == len(few)


def test_the_real_set(faces_root: Path) -> None:
    pairs = read_pairs(faces_root / "lfw_dev.bin")
    assert len(pairs) == 1200
    assert pairs.images.shape == (2400, 3, 112, 112)
    assert pairs.same.sum() == 600


def test_a_pair_with_a_damaged_image_is_left_out_where_damage_is_counted(
    tmp_path: Path, four: list[bytes], jpeg
) -> None:
    images = [*four, jpeg(4), jpeg(5)]
    torn = [*images[:3], images[3][:-300], *images[4:]]
    path = write(tmp_path, (torn, [True, False, True]))
    damage = Damage(1)
    pairs = read_pairs(path, damage)
    expected = np.stack([decode(images[row]).transpose(2, 0, 1) for row in (0, 1, 4, 5)])
    assert np.array_equal(pairs.images.numpy(), expected)
    assert pairs.same.tolist() == [True, True]
    assert pairs.left_out == (1,)
    (what,) = damage.met.values()
    assert what.startswith(f"{path}: image 2 of pair 1 of 3: incomplete JPEG")
    with pytest.raises(UserError, match="image 2 of pair 1 of 3"):
        read_pairs(path)
    with pytest.raises(UserError, match="damaged, number 1 of this run; max_damaged allows 0"):
        read_pairs(path, Damage(0))


def test_a_set_without_a_whole_pair_is_refused(tmp_path: Path, four: list[bytes]) -> None:
    path = write(tmp_path, ([b"", four[0], four[1], b""], [True, False]))
    with pytest.raises(UserError, match="none of its 2 pairs has two images that can be read"):
        read_pairs(path, Damage(10))
