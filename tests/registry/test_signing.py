"""A signature is right, or the version is not used."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from distill.errors import UserError
from distill.registry.registry import Registry
from distill.registry.signing import Signing, read_signing
from reference.served_registry import MODEL, model_file

PLAIN = NoEncryption()


def private_pem(key: Ed25519PrivateKey, protection: KeySerializationEncryption = PLAIN) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def write_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key in files."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.touch(0o600)
    private.write_bytes(private_pem(key))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "ours")


@pytest.fixture
def signed(tmp_path: Path, ours: tuple[Path, Path]) -> Path:
    """A registry with a signed version."""
    root = tmp_path / "registry"
    Registry(root, read_signing(ours[0], [])).add({MODEL: model_file(tmp_path, 1)}, {"night": 1})
    return root


def trusting(root: Path, *keys: Path) -> Registry:
    """As a consumer opens it, who has no private key."""
    return Registry(root, read_signing(None, keys))


def test_the_signature_is_that_of_the_standard():
    """RFC 8032, section 7.1, test 1: the signature of the empty message."""
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert Signing((), key).sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_openssl_agrees(signed: Path, ours: tuple[Path, Path]):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = signed / "versions/v0001"
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(ours[1]), "-rawin"]
    files = ["-in", str(folder / "version.json"), "-sigfile", str(folder / "version.json.sig")]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert (done.returncode, "Successfully" in done.stdout) == (0, True), done.stderr


def test_a_key_made_by_openssl(tmp_path: Path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)
    subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)], check=True)
    signing = read_signing(key, [])
    assert signing is not None
    (tmp_path / "signature").write_bytes(signing.sign(b"record"))
    reader = read_signing(None, [public])
    assert reader is not None
    reader.require(b"record", tmp_path / "signature")


def test_a_signed_version_is_verified_and_serves(signed: Path, ours: tuple[Path, Path], tmp_path: Path):
    for keys in ([ours[1]], [write_keys(tmp_path, "theirs")[1], ours[1]]):
        trusting(signed, *keys).version("v0001").verified()
    trusting(signed, ours[1]).promote("v0001", {})
    Registry(signed, read_signing(ours[0], [])).promote("v0001", {})
    Registry(signed).version("v0001").verified()  # nobody is asked for a signature without keys


def test_a_signature_of_another_key(signed: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"version\.json\.sig: is the signature of none of the 1 trusted keys"):
        trusting(signed, write_keys(tmp_path, "theirs")[1]).version("v0001").verified()


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"x" * 63, b"x" * 65])
def test_a_signature_that_is_wrong(signed: Path, ours: tuple[Path, Path], signature: bytes):
    (signed / "versions/v0001/version.json.sig").write_bytes(signature)
    with pytest.raises(UserError, match="is the signature of none of the 1 trusted keys"):
        trusting(signed, ours[1]).promote("v0001", {})
    assert trusting(signed, ours[1]).champion() is None


def test_a_signature_that_is_missing(signed: Path, ours: tuple[Path, Path]):
    (signed / "versions/v0001/version.json.sig").unlink()
    with pytest.raises(UserError, match=r"version\.json\.sig: No such file or directory; expected the signature"):
        trusting(signed, ours[1]).version("v0001").verified()


def test_whoever_changes_a_file_and_its_record_is_found_out(signed: Path, ours: tuple[Path, Path]):
    folder = signed / "versions/v0001"
    digest = Registry(signed).version("v0001").files[MODEL]
    other = Registry(signed).add({MODEL: model_file(signed.parent, 2)}, {"night": 1})
    os.replace(other.file(MODEL), folder / MODEL)
    record = (folder / "version.json").read_text()
    (folder / "version.json").write_text(record.replace(digest, other.files[MODEL]))
    Registry(signed).version("v0001").verified()  # the checksums agree
    with pytest.raises(UserError, match="the record was changed"):
        trusting(signed, ours[1]).version("v0001").verified()


def test_a_signed_version_under_another_name(signed: Path, ours: tuple[Path, Path]):
    shutil.copytree(signed / "versions/v0001", signed / "versions/v0002")
    with pytest.raises(UserError, match="is the record of 'v0001'; expected that of v0002"):
        trusting(signed, ours[1]).version("v0002")


def test_who_has_no_key_adds_nothing_unsigned(signed: Path, ours: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(UserError, match=r"signing\.key is missing"):
        trusting(signed, ours[1]).add({MODEL: model_file(tmp_path, 2)}, {})
    assert [version.name for version in Registry(signed).versions()] == ["v0001"]


def test_versions_from_before_are_signed_later(root: Path, ours: tuple[Path, Path]):
    registry = Registry(root, read_signing(ours[0], []))
    with pytest.raises(UserError, match="expected the signature of a trusted key"):
        registry.promote("v0005", {})
    assert registry.sign() == [f"v000{n}" for n in range(1, 7)]
    assert registry.sign() == []
    trusting(root, ours[1]).promote("v0005", {})


def test_a_damaged_version_is_not_signed(root: Path, ours: tuple[Path, Path]):
    (root / "versions/v0001" / MODEL).write_bytes(b"")
    with pytest.raises(UserError, match=r"v0001/student\.onnx: has sha256"):
        Registry(root, read_signing(ours[0], [])).sign()
    assert not (root / "versions/v0001/version.json.sig").exists()


def test_without_keys_there_is_no_signing():
    assert read_signing(None, []) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_private_key_that_others_can_read(ours: tuple[Path, Path], mode: int):
    ours[0].chmod(mode)
    with pytest.raises(UserError, match=rf"ours\.pem: has mode {mode:04o}; expected 0600, a key that only its owner"):
        read_signing(ours[0], [])


def test_files_that_are_no_such_key(ours: tuple[Path, Path], tmp_path: Path):
    private, public = ours
    with pytest.raises(UserError, match=r"ours\.pem: expected a public Ed25519 key"):
        read_signing(None, [private])
    with pytest.raises(UserError, match=r"none\.pem: No such file or directory; expected a private"):
        read_signing(tmp_path / "none.pem", [])
    with pytest.raises(UserError, match=r"none\.pub: No such file or directory; expected a public"):
        read_signing(None, [tmp_path / "none.pub"])
    curve = generate_private_key(SECP256R1())
    locked = private_pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"PLANTED"))
    other = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN)
    for content in (b"PLANTED", public.read_bytes(), locked, other):
        private.write_bytes(content)
        with pytest.raises(UserError, match=r"ours\.pem: expected a private Ed25519 key without password") as told:
            read_signing(private, [])
        assert "PLANTED" not in str(told.value)
