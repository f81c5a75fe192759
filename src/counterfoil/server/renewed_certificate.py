"""A renewed TLS certificate is taken without a restart: its files are looked at now and then.

Certificate and key are two files, and there is a moment in which only one of them is new. So files are taken once they
have stayed the same between two looks and fit each other; until then, connections get the certificate of before.
"""

from __future__ import annotations

import logging
import ssl
from typing import Final

from counterfoil.errors import UsageError
from counterfoil.server.identity.tls import check_certificate
from counterfoil.server.listening import Endpoint

_LOG: Final = logging.getLogger("counterfoil.server")
_State = tuple[tuple[int, int, int], ...]


class RenewedCertificate:
    """The certificate of one endpoint; new connections get what `context` has."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext) -> None:
        self._endpoint, self._context = endpoint, context
        self._taken = self._seen = self._state()

    def look(self) -> None:
        """Take the files if they were renewed. Never raises: a certificate that cannot be used is told, once."""
        state = self._state()
        changed, self._seen = state != self._seen, state
        if changed or state == self._taken:
            return
        self._taken = state
        certificate, key = self._endpoint.certificate, self._endpoint.key
        assert certificate is not None
        assert key is not None
        try:
            check_certificate(certificate, key)
            self._context.load_cert_chain(certificate, key, password="")
        except (UsageError, OSError) as error:
            _LOG.warning("the renewed certificate is not used: %s", error)
        else:
            _LOG.info("the renewed certificate %s is used", certificate)

    def _state(self) -> _State | None:
        files = [self._endpoint.certificate, self._endpoint.key]
        try:
            found = [file.stat() for file in files if file is not None]
        except OSError:  # in the middle of being replaced
            return None
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
