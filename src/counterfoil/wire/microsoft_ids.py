"""The permission, hosts, audiences and application ids that tokens for Microsoft's two APIs carry."""

from __future__ import annotations

from typing import Final

PERMISSION: Final = "PartnerBilling.Read.All"
GRAPH_HOST: Final = "graph.microsoft.com"
PARTNER_CENTER_HOST: Final = "api.partnercenter.microsoft.com"
# An API's audience, and the application id that may be used for it.
GRAPH_AUDIENCES: Final = (f"https://{GRAPH_HOST}", "00000003-0000-0000-c000-000000000000")
PARTNER_CENTER_AUDIENCES: Final = (f"https://{PARTNER_CENTER_HOST}", "fa3d9a0c-3fb0-42cc-9193-47c7ecd2edbd")
# The directory's older API, which v1 tools asked for before 2025.
RETIRED_DIRECTORY_ID: Final = "00000002-0000-0000-c000-000000000000"
