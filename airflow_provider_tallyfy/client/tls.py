"""Certificates: what a connection says about them, checked before anything is sent."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_provider_tallyfy.exceptions import TallyfyConfigurationError


def tls_context(verify: bool | str, cert: str | tuple[str, ...] | None, conn_id: str, source: str) -> ssl.SSLContext:
    """Return a context that trusts and shows what the connection says.

    :param verify: ``True``, ``False``, or the path of a file or directory with CA certificates.
    :param cert: path of a file with certificate and key, or a pair of paths, or ``None``.
    :param source: what names the CA certificates, for errors: ``the extra 'verify'`` or an environment variable.
    :raises TallyfyConfigurationError: for a file that can't be used, naming it and what is wrong with it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(verify, str):
        _trust(context, verify, conn_id, source)
    elif verify:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # those that requests trusts
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        _show(context, (cert,) if isinstance(cert, str) else cert, conn_id)
    return context


def _trust(context: ssl.SSLContext, path: str, conn_id: str, source: str) -> None:
    try:
        if not os.path.exists(path):
            raise _wrong(conn_id, source, f"no file {path!r} here")
        if os.path.isdir(path):
            if not os.listdir(path):
                raise _wrong(conn_id, source, f"the directory {path!r} is empty")
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as fault:
        raise _wrong(conn_id, source, f"{path!r} holds no CA certificates that can be used ({_said(fault)})") from None


def _show(context: ssl.SSLContext, paths: tuple[str, ...], conn_id: str) -> None:
    source = "the extra 'cert'"
    for path in paths:
        try:
            text = Path(path).read_bytes()
        except FileNotFoundError:
            raise _wrong(conn_id, source, f"no file {path!r} here") from None
        except (OSError, ValueError) as fault:
            raise _wrong(conn_id, source, f"{path!r} can't be read ({_said(fault)})") from None
        if b"ENCRYPTED" in text:
            raise _wrong(conn_id, source, f"the private key in {path!r} is encrypted. Store it without a passphrase")
    try:
        # Without a password, OpenSSL would ask the terminal for one.
        context.load_cert_chain(paths[0], paths[1] if len(paths) > 1 else None, password=lambda: "")
    except (OSError, ValueError) as fault:
        files = " and ".join(map(repr, paths))
        if "KEY_VALUES_MISMATCH" in str(fault):
            raise _wrong(conn_id, source, f"the private key is not that of the certificate ({files})") from None
        raise _wrong(
            conn_id, source, f"{files} holds no certificate with its private key that can be used ({_said(fault)})"
        ) from None


def _wrong(conn_id: str, source: str, what: str) -> TallyfyConfigurationError:
    return TallyfyConfigurationError(f"The connection {conn_id!r} has {source}: {what}. Nothing was sent.")


def _said(fault: Exception) -> str:
    """The reason alone: errors of files repeat the path, errors of OpenSSL name its source lines."""
    if isinstance(fault, ssl.SSLError):
        return (fault.reason or str(fault)).replace("_", " ").lower()
    return (isinstance(fault, OSError) and fault.strerror) or str(fault)
