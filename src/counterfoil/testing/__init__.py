"""A real Counterfoil server for the tests of your own billing software.

    from counterfoil.testing import Server

    with Server() as server:
        server.publish(line_items, period="2026-11")
        requests.get(server.url + "/v1/invoices/unbilled/lineitems?...", headers=server.headers("partner-center"))

With pytest, ask for the fixture `counterfoil_server`: one server for the whole run, empty at the start of each test.
"""

from counterfoil.testing.server import PARTNER, Server

__all__ = ["PARTNER", "Server"]
