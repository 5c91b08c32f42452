"""Certificates for 127.0.0.1, signed by an authority of their own, made by openssl."""

import os
import shutil
import subprocess

import pytest

# What Python 3.13 asks of certificates.
_EXTENSIONS = ("subjectAltName=IP:127.0.0.1", "authorityKeyIdentifier=keyid", "subjectKeyIdentifier=hash")


def _openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make(folder, *names):
    """`ca.pem`, and for each name `NAME.key`, `NAME.crt` and both together in `NAME.pem`."""
    if shutil.which("openssl") is None and os.environ.get("CI") != "true":
        pytest.skip("no openssl, which makes the certificates")
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ours", "-keyout",
             "ca.key", "-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    (folder / "san").write_text("\n".join(_EXTENSIONS))
    for name in names:
        _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.csr")  # fmt: skip
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "2", "-extfile", "san", "-out", f"{name}.crt")  # fmt: skip
        (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())
