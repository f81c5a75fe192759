"""AzCopy, where it is installed (the npm package azcopy-linux has it), takes a manifest's folder by its own link."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from counterfoil.generator import generate
from counterfoil.model import Kind, Scope
from counterfoil.testing import PARTNER, Server

INVOICE = "G016907411"
AZCOPY = shutil.which("azcopy")


@pytest.mark.soak
@pytest.mark.skipif(AZCOPY is None, reason="azcopy is not installed")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # a numeric host has another container, see blob_listing
def test_azcopy_copies_a_manifests_folder(tmp_path: Path, host: str) -> None:
    with Server(now="2026-11-21") as server:
        server.publish(generate(Kind.USAGE, 300, special=True, partner=PARTNER, scope=Scope.billed(INVOICE)))
        headers = {"Authorization": f"Bearer {server.token()}"}
        url = f"{server.url}/v1.0/reports/partners/billing/usage/billed/export"
        location = httpx.post(url, json={"invoiceId": INVOICE}, headers=headers).headers["location"]
        manifest = httpx.get(location, headers=headers).json()["resourceLocation"]
        root = manifest["rootDirectory"].replace("127.0.0.1", host)
        command = [str(AZCOPY), "copy", f"{root}?{manifest['sasToken']}", str(tmp_path / "copied")]
        command += [
            "--recursive",
            "--from-to=BlobLocal",
            f"--trusted-microsoft-suffixes={host}",
            "--skip-version-check",
        ]
        places = {"AZCOPY_LOG_LOCATION": str(tmp_path / "log"), "AZCOPY_JOB_PLAN_LOCATION": str(tmp_path / "plan")}
        done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    copied = {path.name: path.stat().st_size for path in (tmp_path / "copied").rglob("*.json.gz")}
    assert copied == {blob["name"]: blob["@counterfoil.sizeBytes"] for blob in manifest["blobs"]}
