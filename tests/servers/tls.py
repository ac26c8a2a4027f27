"""Certificates for servers under test: an authority of our own, and a certificate for loopback from it."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority to trust, the server's chain, the server's key."""

    ca: Path
    chain: Path
    key: Path


def issue(directory: Path) -> Certificates:
    """Write a fresh authority and a certificate for 127.0.0.1 and localhost into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(made.ca))
    certificate.private_key_pem.write_to_path(str(made.key))
    made.chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    return made
