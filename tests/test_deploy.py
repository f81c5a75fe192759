"""What is in deploy/ says what the program takes, and lets no signature into a log."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from counterfoil.cli import COMMANDS
from counterfoil.settings import PREFIX, Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
FILES = sorted(DEPLOY.iterdir())
SETTINGS = {PREFIX + each.name.upper() for each in fields(Settings)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_variables_are_settings_and_commands_are_commands(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"COUNTERFOIL_[A-Z_]+", text)) <= SETTINGS
    named = re.findall(r"/bin/counterfoil ([a-z-]+)", text)
    assert set(named) <= set(COMMANDS)
    if path.name in {"Containerfile", "counterfoil.service"}:
        assert named


def test_nginx_logs_no_query_strings_and_keeps_connections_for_less_long_than_the_server() -> None:
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    [form] = re.findall(r"^log_format counterfoil (.*);$", text, re.MULTILINE)
    assert not re.search(r"\$(request|request_uri|args|query_string|http_referer|arg_\w+)\b(?!_)", form)
    assert "access_log /var/log/nginx/counterfoil.log counterfoil;" in text
    [kept_s] = map(int, re.findall(r"keepalive_timeout (\d+)s", text))
    assert kept_s < 75


def test_the_image_is_not_of_root_and_installs_by_hash() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    _, final = text.rsplit("FROM ", 1)
    [user] = re.findall(r"^USER (\d+)$", final, re.MULTILINE)
    assert int(user) > 0
    assert "HEALTHCHECK" in final
    assert "--require-hashes" in text
