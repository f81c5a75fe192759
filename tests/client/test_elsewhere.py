"""The client works where no module of POSIX is: it is used there, not merely imported."""

from __future__ import annotations

from pathlib import Path

from tests.client.elsewhere import tried


def test_everything_of_the_client_is_used_without_posix_and_without_the_server(tmp_path: Path) -> None:
    tried(tmp_path, Path(__file__).parent.parent.parent / "src")
