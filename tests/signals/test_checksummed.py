"""A sealed file is what was written, or is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from distill.signals.checksummed import DamagedFile, open_sealed, sealed, verify_sealed

BELONGS = {"manifest": "0123456789abcdef", "shard": "4"}
ARRAYS = {
    "embedding": np.arange(12, dtype=np.float16).reshape(3, 2, 2),
    "digest": np.array([1, 2**63, 3], np.uint64),
    "distances": np.array([0.5, 1.5]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(sealed(ARRAYS, BELONGS))
    return tmp_path / "file"


def test_what_was_written_is_read_by_us_and_by_safetensors(path: Path):
    verify_sealed(path)
    for found in (open_sealed(path, BELONGS), load_file(path)):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def refusal(path: Path) -> str | None:
    try:
        open_sealed(path, BELONGS)
        verify_sealed(path)
    except DamagedFile as error:
        return str(error)
    return None


def test_any_flipped_bit_is_found_or_changes_nothing(path: Path):
    content = path.read_bytes()
    harmless = 0
    for at in range(len(content)):
        spoilt = bytearray(content)
        spoilt[at] ^= 1 << at % 8
        path.write_bytes(spoilt)
        told = refusal(path)
        if told:
            assert str(path) in told
            assert "\n" not in told
            continue
        harmless += 1
        for name, array in open_sealed(path, BELONGS).items():
            np.testing.assert_array_equal(array, ARRAYS[name])
    assert harmless < 10  # blanks of the header


@pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
def test_a_truncated_file_is_found(path: Path, keep: int):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedFile, match=r"no safetensors header|truncated|damaged header"):
        open_sealed(path, BELONGS)


def test_a_longer_file_is_found(path: Path):
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DamagedFile, match="bytes of arrays; expected"):
        open_sealed(path, BELONGS)


def test_a_file_of_another_store_or_place_is_named(path: Path):
    with pytest.raises(DamagedFile, match="is of another store: its shard is 4, not 5"):
        open_sealed(path, {**BELONGS, "shard": "5"})


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DamagedFile, match=r"gone: is missing$"):
        open_sealed(tmp_path / "gone", BELONGS)
