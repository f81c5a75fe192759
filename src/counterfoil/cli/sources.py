"""Sources as the command line names them: a profile or a URL, and where its token comes from.

The token in COUNTERFOIL_TOKEN is for a source that has no other. A profile that says where its token or secret is,
and has none there, is refused: another source's token must never be sent instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from counterfoil.cli.options import standard_input
from counterfoil.errors import UsageError
from counterfoil.settings import Profile, Settings

if TYPE_CHECKING:
    from counterfoil.client.network.bearer_tokens import TokenSource

_ADDRESS: Final = re.compile(
    r"(localhost|[\w-]+(\.[\w-]+)+|\[[0-9A-Fa-f:]+\]|[\w-]+(?=:\d))(:\d{1,5})?(/\S*)?", re.ASCII
)
TOKEN_VARIABLE: Final = "COUNTERFOIL_TOKEN"  # noqa: S105 - a variable's name


def find_profile(settings: Settings, source: str) -> Profile:
    """Return the profile named, or a nameless one for a URL; raises UsageError."""
    if "://" in source:
        return Profile("", url=source)
    if source not in settings.profiles and _ADDRESS.fullmatch(source):
        raise UsageError(
            f"{source!r} is no profile, and no URL.",
            remedy=f"Write an address with http:// or https://: {_url(source)}",
        )
    return settings.profile(source)


def _url(address: str) -> str:
    is_here = address.startswith(("localhost", "127.", "[::1]"))
    return f"{'http' if is_here else 'https'}://{address}"


def token_source(profile: Profile, given: str | None, environ: Mapping[str, str]) -> str | TokenSource:
    """Return where tokens come from: the argument, the profile, then the environment; raises UsageError."""
    from counterfoil.client.credentials import of_profile

    if given is not None:
        if given == "-":
            given = standard_input("Pipe the token into this command.").readline()
        token = given.strip()
        if not token:
            raise UsageError("--token is empty.")
        return token
    for what, variable, value in (
        ("token", profile.token_env, profile.token),
        ("secret", profile.client_secret_env, profile.client_secret),
    ):
        if variable and not value:
            raise UsageError(
                f"The environment has no {variable}, where the profile {profile.name!r} has its {what}.",
                remedy="Set it; a scheduled task has an environment of its own.",
            )
    if profile.token or profile.client_id:
        return of_profile(profile)
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UsageError(
            "There is no token to send.", remedy=f"Give --token, {TOKEN_VARIABLE}, or a profile that signs in."
        )
    return token
