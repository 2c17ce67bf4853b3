"""Certificates for tests: an authority, and what it has signed for an engine and its client."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SERVER = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
_CLIENT = "extendedKeyUsage=clientAuth\n"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make_certificates(folder: Path) -> Path:
    """Fill a folder as docker wants it: ca, cert and key, and those of the engine."""
    folder.mkdir()
    _openssl(
        folder, "req", "-x509", *_KEY, "-keyout", "ca-key.pem", "-out", "ca.pem", *_named("ca")
    )
    _sign(folder, "server", "server.pem", "server-key.pem", _SERVER)
    _sign(folder, "client", "cert.pem", "key.pem", _CLIENT)
    return folder


def _sign(folder: Path, name: str, certificate: str, key: str, extensions: str) -> None:
    (folder / "extensions").write_text(extensions)
    _openssl(folder, "req", *_KEY, "-keyout", key, "-out", "request", *_named(name))
    authority = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial")
    made = ("-in", "request", "-out", certificate, "-extfile", "extensions")
    _openssl(folder, "x509", "-req", *authority, *made)


def _named(name: str) -> tuple[str, str]:
    return "-subj", f"/CN=deepd-test-{name}"


def _openssl(folder: Path, *args: str) -> None:
    done = subprocess.run(["openssl", *args], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
