"""Faults of https and of a server's certificate, in words that say what to do about them.

OpenSSL describes them in one line of text, and Python passes that on. Most are not the source's fault: a wrong clock
makes any certificate look expired, and a proxy that inspects https signs for every host.
"""

from __future__ import annotations

import re
from typing import Final

_MARK: Final = "CERTIFICATE_VERIFY_FAILED"
_OTHER_NAME: Final = re.compile(r"certificate is not valid for '([^']{1,253})'")
_UNTRUSTED: Final = (
    "It is signed by an authority that this machine does not trust, most often a proxy that inspects https. Name the "
    "file of its certificate authority in SSL_CERT_FILE."
)


_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_CODED: Final = re.compile(r"\[SSL(?:: [A-Z0-9_]+)?\] *|\[Errno -?[0-9]+\] *| *\(_ssl\.c:[0-9]+\)")


def https_flaw(error: str) -> tuple[str, str] | None:
    """Return what is wrong where something answers that does not speak https, and what to do; None for others."""
    if not any(f"SSL: {mark}" in error for mark in _NO_TLS):
        return None
    return (
        "it does not speak https there",
        "Write the address with http://, or name the port that serves https; a proxy in between may be the cause too.",
    )


def in_plain_words(error: str) -> str:
    """Return the text of an error without the codes and source lines of the libraries below."""
    return _CODED.sub("", error).strip()


def certificate_flaw(error: str) -> tuple[str, str] | None:
    """Return what is wrong with a certificate, from the text of an error, and what to do; None for another error."""
    if _MARK not in error:
        return None
    if "certificate has expired" in error:
        return (
            "its certificate has expired",
            "Its operator has to renew it. If that was done, this machine's clock is ahead: set it.",
        )
    if "certificate is not yet valid" in error:
        return (
            "its certificate is not valid yet",
            "Most often this machine's clock is behind: set it. If it is right, its operator has to replace it.",
        )
    if (name := _OTHER_NAME.search(error)) is not None:
        return (
            f"its certificate is for other names, and not for {name[1]}",
            "Use a name from the certificate as the address. If the address is right, something else answers.",
        )
    return "its certificate is not trusted here", _UNTRUSTED
