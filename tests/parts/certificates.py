"""Certificates for DICOM by TLS: an authority made up here, and what it signs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.settings import Credentials


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    path: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        return x509.load_pem_x509_certificate(self.path.read_bytes()).fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True)
class Authority:
    """Signs certificates of P-256 keys; its own is `path`."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def path(self) -> Path:
        path = self.folder / f"{self.name}.pem"
        if not path.exists():
            path.write_bytes(_pem(self._signed(self.name, self.key, (), timedelta(days=365), authority=True)))
        return path

    def issue(self, name: str, names: Sequence[str] = (), valid: timedelta = timedelta(days=365)) -> Certificate:
        """A certificate for these DNS names and addresses; one with a negative time has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        issued.path.write_bytes(_pem(self._signed(name, key, names, valid)))
        return issued

    def credentials(self, certificate: Certificate, authority: Authority | None = None) -> Credentials:
        """For a node that shows a certificate, and believes this authority, or another."""
        return Credentials(certificate=certificate.path, key=certificate.key, authorities=(authority or self).path)

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        names: Sequence[str],
        valid: timedelta,
        authority: bool = False,
    ) -> x509.Certificate:
        end = datetime.now(UTC) + valid
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=400))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(it) for it in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the site believes."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one, which nobody here believes."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
