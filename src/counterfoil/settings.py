"""Settings: read once, at the top, and passed down as one frozen value.

An argument beats the environment (`COUNTERFOIL_PORT`), which beats the file (`counterfoil.toml`), which beats the
default. "Not given" is `None` for an argument and absence elsewhere; an explicit `0`, `false` or `''` is a value, and
wins. An unknown key is an error, never ignored: a misspelt `COUNTERFOIL_ISUER` would otherwise leave a server open
that its operator believes closed. Development mode is not a setting: only the command line switches it on, so that
nothing left behind in an environment can.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from counterfoil import lifetimes_and_sizes
from counterfoil.errors import UsageError
from counterfoil.profiles import Profile, Profiles, read_profiles
from counterfoil.setting_values import (
    PREFIX,
    did_you_mean,
    one_of,
    optional,
    read_base_url,
    read_database_url,
    read_embedded_only,
    read_path,
    read_port,
    read_secret,
    read_url,
    read_value,
    refuse_unknown,
    remedy_for,
    setting,
    whole_number,
)

__all__ = ["FILE_NAME", "OTHER_VARIABLES", "PREFIX", "Profile", "Settings", "did_you_mean"]

FILE_NAME: Final = "counterfoil.toml"
OTHER_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "COUNTERFOIL_CONFIG": f"The settings file, where it is not `{FILE_NAME}` in the working directory.",
        "COUNTERFOIL_TOKEN": "The bearer token that `counterfoil pull` and `counterfoil doctor` send to a source.",
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `Settings()` is a complete server on one machine; `load` is how the command line makes one."""

    data: Path = setting(Path("counterfoil-data"), "The data folder: catalog, files, keys and locks.", read_path)
    database_url: str = setting(
        "",
        "Where the catalog is: `postgresql://USER:PASSWORD@SERVER/DATABASE`. Empty: SQLite in the data folder.",
        read_database_url,
        secret=True,
    )
    files_url: str = setting("", "Where the sealed files are. Empty: in the data folder.", read_embedded_only)
    engine_url: str = setting("", "What sorts and renders. Empty: this process.", read_embedded_only)
    host: str = setting("127.0.0.1", "The address that `serve` listens on.")
    port: int = setting(8080, "The port for http; 0 picks a free one.", read_port)
    https_port: int | None = setting(
        None, "The port for https; 0 picks a free one. Empty: no https.", optional(read_port)
    )
    tls_cert: Path | None = setting(None, "The certificate chain for https, as PEM.", optional(read_path))
    tls_key: Path | None = setting(None, "The private key of that certificate, as PEM.", optional(read_path))
    public_url: str = setting(
        "", "The URL that callers use, where it is not the one `serve` listens on: links use it.", read_base_url
    )
    issuer: str = setting(
        "", "The identity provider whose tokens are good here. A `{tid}` in it must match the token's tenant.", read_url
    )
    audience: str = setting(
        "", "The audience a token must be made for: your own, never Microsoft's. Separate several with commas."
    )
    jwks_url: str = setting("", "Where the issuer's public keys are. Empty: its discovery document says.", read_url)
    requests_a_minute: int = setting(
        6_000,
        "How many requests a minute a partner may make to the two APIs; blobs and sign-ins are not counted. "
        "0: any number.",
        whole_number(0, 99_999),
    )
    exports_a_minute: int = setting(
        60,
        "How many new exports a partner may make a minute, after 600 in a row. 0: any number.",
        whole_number(0, 99_999),
    )
    secret: str = setting(
        "", "The keys that sign links and continuation tokens. Empty: a file in the data folder.", secret=True
    )
    client_secret_days: int = setting(
        365, "For how many days a new secret of a client is good. 0: for ever.", whole_number(0, 36_500)
    )
    log_level: str = setting(
        "info",
        "What `serve` logs: `debug`, `info` (each request, sign-in and refusal), `warning` or `error`.",
        one_of("debug", "info", "warning", "error"),
    )
    log_format: str = setting("text", "How `serve` logs: lines of `text` or of `json`.", one_of("text", "json"))
    activity_days: int = setting(
        lifetimes_and_sizes.ACTIVITY_KEPT.days,
        "For how many days the record of who did what is kept (`counterfoil activity`).",
        whole_number(1, 36_500),
    )
    metrics_token: str = setting(
        "",
        "The bearer token for `/metrics`, which is there for Prometheus only where this is set.",
        read_secret,
        secret=True,
    )
    profiles: Profiles = field(default_factory=Profiles)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("tls_cert and tls_key go together: one of them is missing.", remedy="Give both, as PEM.")

    @classmethod
    def load(
        cls,
        arguments: Mapping[str, object] = MappingProxyType({}),
        *,
        environ: Mapping[str, str],
        directory: Path,
        config: Path | None = None,
        spelled: Callable[[str], str] = str,
    ) -> Self:
        """Return the settings that arguments, environment and file add up to; raises UsageError.

        An argument of None was not given. `config` names the file; without it COUNTERFOIL_CONFIG does, or it is
        counterfoil.toml in `directory` if there is one. `spelled` gives the name of an argument as the user wrote it.
        """
        file, table = _read_file(environ, directory, config)
        profiles = read_profiles(table.pop("profiles", {}), file, environ)
        known = {each.name: each for each in fields(cls) if each.name != "profiles"}
        _refuse_tables(table, file)
        refuse_unknown(table, [*known, "profiles"], f"{file.name}: ")
        _refuse_unknown_variables(environ, known, profiles.values())
        values: dict[str, Any] = {}
        for name, value in table.items():
            read = read_value(known[name], value, f"{file.name}: {name}")
            values[name] = file.parent / read if isinstance(read, Path) else read
        for name, each in known.items():
            variable = PREFIX + name.upper()
            if variable in environ:
                values[name] = read_value(each, environ[variable], variable)
        for name, value in arguments.items():
            if value is not None:
                values[name] = read_value(known[name], value, spelled(name))
        return cls(**values, profiles=profiles)

    def profile(self, name: str) -> Profile:
        """Return the profile of that name; raises UsageError."""
        return self.profiles.named(name)


def _read_file(environ: Mapping[str, str], directory: Path, config: Path | None) -> tuple[Path, dict[str, Any]]:
    """Return the settings file and what it says; an empty table where no file was asked for and none is there."""
    named = config or (Path(environ["COUNTERFOIL_CONFIG"]) if environ.get("COUNTERFOIL_CONFIG") else None)
    path = directory / (named.expanduser() if named else FILE_NAME)
    if named is None and not path.exists():
        return path, {}
    try:
        text = _read_text(path)
        return path, tomllib.loads(text)
    except OSError as error:
        raise UsageError(
            f"The settings file {path} cannot be read: {error.strerror}.", remedy="Check its name, and who may read it."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"The settings file {path} is not UTF-8.", remedy="Save it again as UTF-8; editors ask for the encoding."
        ) from None
    except tomllib.TOMLDecodeError as error:
        remedy = "Write a Windows path in single quotes: 'C:\\Billing'." if "\\" in text else ""
        raise UsageError(f"The settings file {path} is not TOML: {error}.", remedy=remedy) from None


def _read_text(path: Path) -> str:
    written = path.read_bytes()
    if b"\0" in written:  # UTF-16 without its mark is UTF-8 too, of a sort
        raise UnicodeDecodeError("utf-8", written, 0, 1, "null characters")
    return written.decode("utf-8-sig").replace("\r\n", "\n")


def _refuse_tables(table: Mapping[str, object], file: Path) -> None:
    """Raise UsageError for a table: only profiles are written as such."""
    for name, value in table.items():
        if isinstance(value, dict):
            meant = next(iter(value), "NAME") if did_you_mean(name, ["profiles"]) else name
            raise UsageError(
                f"{file.name}: there is no setting {name!r}.", remedy=f"Write a profile as [profiles.{meant}]."
            )


def _refuse_unknown_variables(
    environ: Mapping[str, str], known: Mapping[str, object], profiles: Iterable[Profile]
) -> None:
    allowed = {PREFIX + name.upper() for name in known} | set(OTHER_VARIABLES)
    named = {variable for profile in profiles for variable in (profile.client_secret_env, profile.token_env)}
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in allowed | named:
            raise UsageError(
                f"The environment has {variable}, and there is no such setting.{did_you_mean(variable, allowed)}",
                remedy=remedy_for(variable, value),
            )
