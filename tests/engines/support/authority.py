"""A private authority that signs certificates of servers and clients."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Issued:
    """The files of a certificate and of its key, and its serial number."""

    certificate: Path
    key: Path
    serial: int

    def copy_to(self, other: Issued) -> None:
        """Writes this certificate and key over those of another one, as programs that renew certificates do."""
        for source, target in ((self.key, other.key), (self.certificate, other.certificate)):
            new = target.with_suffix(".new")
            new.write_bytes(source.read_bytes())
            new.rename(target)


class Authority:
    """Its certificate is in the file `root`."""

    def __init__(self, folder: Path, name: str = "authority"):
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = folder / f"{name}.pem"
        self.root.write_bytes(self._sign(self._key, self._name, -1, 30, is_authority=True).public_bytes(PEM))

    def issue(self, name: str, days: tuple[float, float] = (-1, 30)) -> Issued:
        """Signs a certificate for 127.0.0.1 and localhost. `days` are the begin and the end of its validity, from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(key, subject, *days, is_authority=False)
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key", made.serial_number)
        issued.certificate.write_bytes(made.public_bytes(PEM))
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        issued.key.write_bytes(key.private_bytes(PEM, *plain))
        return issued

    def _sign(
        self, key: ec.EllipticCurvePrivateKey, subject: x509.Name, begin: float, end: float, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now + begin * day).not_valid_after(now + end * day)
        made = made.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        if not is_authority:
            hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            made = made.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return made.sign(self._key, hashes.SHA256())
