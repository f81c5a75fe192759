"""Calls to paste into a shell, for what a development server has published: a token, an export, a page."""

from __future__ import annotations

from typing import Final

from counterfoil.model import Dataset

_SCOPES: Final = {
    "graph": "https://graph.microsoft.com/.default",
    "partner-center": "https://api.partnercenter.microsoft.com/.default",
}


def token_call(url: str, partner: str, audience: str) -> str:
    """Return a call that prints a token; a development server takes any client id and secret."""
    form = (
        f"-d grant_type=client_credentials -d client_id=anyone -d client_secret=anything -d scope={_SCOPES[audience]}"
    )
    return f"""curl -s {form} {url}/{partner}/oauth2/v2.0/token | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/'"""


def export_call(url: str, dataset: Dataset) -> str:
    """Return a call that has a dataset exported; it wants $TOKEN to be set."""
    state, body = "billed", f'{{"invoiceId":"{dataset.scope.invoice}"}}'
    if not dataset.scope.is_billed:
        state, body = "unbilled", f'{{"currencyCode":"{dataset.scope.currency}","billingPeriod":"current"}}'
    address = f"{url}/v1.0/reports/partners/billing/{dataset.kind}/{state}/export"
    headers = '-H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json"'
    return f"curl -si {headers} -d '{body}' {address}"


def page_call(url: str, dataset: Dataset, token: str) -> str:
    """Return a call for the first two unbilled line items of a dataset; `token` is what stands for the token."""
    kind = "usagelineitems" if dataset.kind == "usage" else "billinglineitems"
    query = f"provider=onetime&invoicelineitemtype={kind}&currencycode={dataset.scope.currency}&period=current&size=2"
    return f'curl -s -H "Authorization: Bearer {token}" "{url}/v1/invoices/unbilled/lineitems?{query}"'
