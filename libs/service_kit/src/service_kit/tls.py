"""Encrypted connections: whom they trust, and what is said when a server is not to be trusted.

One rule for all of them: the address says that a connection is encrypted (``amqps://``, ``https://``, ``sslmode=verify-full``), a
file names the authorities whose signature is trusted, and then certificate and host name are always verified.
"""

import ssl
from pathlib import Path


def trusting(
    ca_file: Path | None, *, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """For clients. `ca_file`: these authorities and no others; None: the system's. The certificate is what we prove ourselves
    by to a server that asks for it. Raises OSError where a file cannot be read or holds something else."""
    context = ssl.create_default_context(cafile=ca_file)
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


def https_trusting(ca_file: Path | None) -> ssl.SSLContext | bool:
    """As aiohttp wants it: True verifies by the system's authorities."""
    return True if ca_file is None else trusting(ca_file)


class UntrustedServerError(Exception):
    """A server could not prove that it is who the settings name."""


def certificate_refusal(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Why a connection was given up, if it was for the server's certificate: libraries wrap it in errors of their own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause
