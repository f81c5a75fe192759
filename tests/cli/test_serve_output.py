"""What `serve --dev` prints: fields for programs, and a line for each request for people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from counterfoil.testing import PARTNER

ENDED_S_MAX = 30


def serving(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "counterfoil", "serve", "--dev", "--port", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(server: subprocess.Popen[str]) -> tuple[str, str]:
    server.send_signal(signal.SIGTERM)
    return server.communicate(timeout=ENDED_S_MAX)


def test_a_program_is_told_where_the_server_is_in_fields_and_may_control_it(tmp_path: Path) -> None:
    with serving("--https-port", "0", "--data", str(tmp_path / "data"), "--output", "json") as server:
        try:
            assert server.stdout is not None
            text = ""
            while not text.endswith("}\n"):
                text += server.stdout.readline()
            fields = json.loads(text)
            assert fields["url"] == f"http://127.0.0.1:{fields['port']}"
            assert fields["httpsUrl"] == f"https://127.0.0.1:{fields['httpsPort']}"
            assert Path(fields["ca"]).read_bytes().startswith(b"-----BEGIN CERTIFICATE")
            assert fields["tokenEndpoint"] == f"{fields['url']}/{{tenant}}/oauth2/v2.0/token"
            assert (fields["development"], fields["data"]) == (True, str(tmp_path / "data"))
            line = {"PartnerId": PARTNER, "UsageDate": "2026-11-01", "BillingPreTaxTotal": 1, "BillingCurrency": "EUR"}
            publish = f"{fields['control']}publish?period=2026-11"
            httpx.post(publish, content=json.dumps(line), timeout=60).raise_for_status()
            [before] = httpx.get(fields["control"], timeout=60).json()["datasets"]
            assert httpx.post(f"{fields['control']}reset", timeout=60).json()["datasets"] == []
            form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}
            form["scope"] = "https://graph.microsoft.com/.default"
            asked = httpx.post(fields["tokenEndpoint"].format(tenant=PARTNER), data=form, timeout=60)
            assert asked.status_code in (200, 400), asked.text
        finally:
            out, err = ended(server)
    told = [json.loads(each) for each in err.splitlines()]
    assert (out, "warning" in told[0]) == ("", True)
    assert [each["logger"] for each in told[1:]] == ["counterfoil.security"] * len(told[1:]), "the log is JSON too"
    # The reset served another folder: what was published into the user's own is all there.
    command = [sys.executable, "-m", "counterfoil", "list", "--data", str(tmp_path / "data"), "--output", "json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [each["lineItems"] for each in listed] == [before["lineItems"]] == [1]


def test_people_see_a_line_for_each_request_without_its_query(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data")) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().rpartition(" ")[2].strip()
            httpx.get(f"{url}/blobs/none?sig=s3cret", timeout=60)
            httpx.get(f"{url}/healthz", timeout=60)
            httpx.get(f"{url}/_counterfoil/", timeout=60)
        finally:
            _, err = ended(server)
    lines = [line for line in err.splitlines() if " GET " in line]
    assert [line.split()[1:4] for line in lines] == [["GET", "/blobs/none", "400"], ["GET", "/healthz", "200"]], err
    assert "s3cret" not in err
