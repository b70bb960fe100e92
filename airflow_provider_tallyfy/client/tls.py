"""The certificates of a connection, checked before anything is sent."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError


def tls_context(verify: bool | str, cert: str | tuple[str, ...] | None, conn_id: str, source: str) -> ssl.SSLContext:
    """Return the TLS context for a connection.

    :param verify: ``True``, ``False``, or the path of a file or directory with CA certificates.
    :param cert: path of a file with certificate and key, or a pair of paths, or ``None``.
    :param source: the origin of ``verify``, for errors: ``the extra 'verify'`` or an environment variable.
    :raises TallyfyConfigurationError: for an invalid file; the error names it and says what is wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(verify, str):
        _trust(context, verify, conn_id, source)
    elif verify:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # the same CAs as in requests
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        _load_client_certificate(context, (cert,) if isinstance(cert, str) else cert, conn_id)
    return context


def _trust(context: ssl.SSLContext, path: str, conn_id: str, source: str) -> None:
    try:
        if not os.path.exists(path):
            raise _error(conn_id, source, f"there is no file {path!r}")
        if os.path.isdir(path):
            if not os.listdir(path):
                raise _error(conn_id, source, f"the directory {path!r} is empty")
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as fault:
        raise _error(conn_id, source, f"{path!r} has no valid CA certificates ({_reason(fault)})") from None


def _load_client_certificate(context: ssl.SSLContext, paths: tuple[str, ...], conn_id: str) -> None:
    source = "the extra 'cert'"
    for path in paths:
        try:
            text = Path(path).read_bytes()
        except FileNotFoundError:
            raise _error(conn_id, source, f"there is no file {path!r}") from None
        except (OSError, ValueError) as fault:
            raise _error(conn_id, source, f"{path!r} can't be read ({_reason(fault)})") from None
        if b"ENCRYPTED" in text:
            raise _error(conn_id, source, f"the private key in {path!r} is encrypted. Store it without a passphrase")
    try:
        # Without a password argument, OpenSSL would prompt for one on the terminal.
        context.load_cert_chain(paths[0], paths[1] if len(paths) > 1 else None, password=lambda: "")
    except (OSError, ValueError) as fault:
        files = " and ".join(map(repr, paths))
        if "KEY_VALUES_MISMATCH" in str(fault):
            raise _error(conn_id, source, f"the private key does not belong to the certificate ({files})") from None
        why = _reason(fault)
        raise _error(
            conn_id, source, f"there is no valid certificate with its private key in {files} ({why})"
        ) from None


def _error(conn_id: str, source: str, what: str) -> TallyfyConfigurationError:
    return TallyfyConfigurationError(f"The connection {conn_id!r} has {source}: {what}. Nothing was sent.")


def _reason(fault: Exception) -> str:
    """Return only the reason: file errors repeat the path, and OpenSSL errors name lines of its source code."""
    if isinstance(fault, ssl.SSLError):
        return (fault.reason or str(fault)).replace("_", " ").lower()
    return (isinstance(fault, OSError) and fault.strerror) or str(fault)
