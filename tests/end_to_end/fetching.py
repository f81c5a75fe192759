"""Getting published line items back over HTTP with a plain client: exports, blobs and walks, and nothing assumed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import httpx

from counterfoil.testing import Server
from tests.end_to_end.documented import strict

BILLING = "/v1.0/reports/partners/billing"
LINE_ITEMS = "/v1/invoices/unbilled/lineitems"
V1_TYPES = {"reconciliation": "billinglineitems", "usage": "usagelineitems"}


class Fetcher:
    """One partner's tool."""

    def __init__(self, server: Server, partner: str = "") -> None:
        self.client = httpx.Client(base_url=server.url, timeout=120)
        self.graph = server.headers(partner=partner)
        self.center = server.headers("partner-center", partner=partner)

    def export(self, kind: str, *, invoice: str = "", attributes: str = "full", currency: str = "EUR") -> Any:
        """Submit an export; return the operation as it is when it has ended."""
        scope = {"invoiceId": invoice} if invoice else {"currencyCode": currency, "billingPeriod": "current"}
        path = f"{BILLING}/{kind}/{'billed' if invoice else 'unbilled'}/export"
        answer = self.client.post(path, json={**scope, "attributeSet": attributes}, headers=self.graph)
        assert answer.status_code == 202, answer.text
        return strict(self.client.get(answer.headers["Location"], headers=self.graph).content)

    def blobs(self, manifest: Any) -> Iterator[bytes]:
        """Download every blob of a manifest, with its link and nothing else."""
        for blob in manifest["blobs"]:
            answer = self.client.get(f"{manifest['rootDirectory']}/{blob['name']}?{manifest['sasToken']}")
            assert answer.status_code == 200, answer.text
            yield answer.content

    def lines(self, manifest: Any) -> Iterator[bytes]:
        """Download and unpack: each blob is one gzip member of whole lines."""
        for packed in self.blobs(manifest):
            inflater = zlib.decompressobj(31)
            text = inflater.decompress(packed)
            assert inflater.eof
            assert not inflater.unused_data
            assert text.endswith(b"\n")
            yield from text[:-1].split(b"\n")

    def pages(self, kind: str, *, size: int = 2_000, gzip: bool = True, currency: str = "EUR") -> Iterator[Any]:
        """Walk by `links.next`, as the SDKs do; each page with its headers, and both tokens in step."""
        query = f"provider=onetime&invoicelineitemtype={V1_TYPES[kind]}&currencycode={currency}&period=current"
        uri: str | None = f"{LINE_ITEMS[3:]}?{query}&size={size}"
        headers = self.center | {"Accept-Encoding": "gzip" if gzip else "identity"}
        while uri is not None:
            answer = self.client.get(f"/v1{uri}", headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers.get("content-encoding") == ("gzip" if gzip else None)
            page = strict(answer.content)
            assert int(page["totalCount"]) == len(page["items"])
            yield page["items"], answer.headers
            following = page["links"].get("next")
            assert ("continuationToken" in page) == (following is not None)
            uri = None
            if following is not None:
                [token] = following["headers"]
                assert token == {"key": "MS-ContinuationToken", "value": page["continuationToken"]}
                headers["MS-ContinuationToken"] = token["value"]
                uri = following["uri"]
