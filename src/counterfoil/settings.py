"""Settings: read once, at the top, and passed down as one frozen value.

An argument beats the environment (`COUNTERFOIL_PORT`), which beats the file (`counterfoil.toml`), which beats the
default. What a newcomer would get wrong: "not given" is `None` for an argument and absence elsewhere; an explicit
`0`, `false` or `''` is a value, and wins. A key nobody knows is an error, never ignored: a misspelt
`COUNTERFOIL_ISUER` would otherwise leave a server open that its operator believes closed. Development mode is no
setting: it is asked for on the command line only, so that nothing left behind in an environment can switch it on.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from counterfoil.errors import UsageError

PREFIX: Final = "COUNTERFOIL_"
FILE_NAME: Final = "counterfoil.toml"
OTHER_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "COUNTERFOIL_CONFIG": f"The settings file, where it is not `{FILE_NAME}` in the working directory.",
        "COUNTERFOIL_TOKEN": "The bearer token that `counterfoil pull` and `counterfoil doctor` send to a source.",
    }
)


class _WrongError(ValueError):
    """What a value must be. The sentence around it is made where the value's origin is known."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongError("must be text")
    return value.strip()


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise _WrongError("must be a path")
    return Path(value).expanduser()


def _optional_path(value: object) -> Path | None:
    return None if value == "" else _path(value)


def _port(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 5:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65535:
        raise _WrongError("must be a whole number from 0 to 65535")
    return value


def _optional_port(value: object) -> int | None:
    return None if value == "" else _port(value)


def _url(value: object) -> str:
    text = _text(value)
    try:
        parts = urlsplit(text)
        _ = parts.port  # urlsplit finds a bad port only when asked for it
    except ValueError:
        raise _WrongError("must be a URL that begins with https:// or http://") from None
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise _WrongError("must be a URL that begins with https:// or http://, without ? or #")
    return text


def _base_url(value: object) -> str:
    return _url(value).rstrip("/")


def _embedded_only(value: object) -> str:
    if _text(value):
        raise _WrongError("must be left out: only the embedded default is there, and nothing else can be used yet")
    return ""


def _api(value: object) -> str:
    if value not in {"graph", "v1"}:
        raise _WrongError("must be 'graph' or 'v1'")
    return str(value)


def _told(about: str, read: Callable[[object], object] = _text) -> dict[str, Any]:
    """What a field carries: the sentence that explains it, and how its value is read and checked."""
    return {"about": about, "read": read}


@dataclass(frozen=True, slots=True)
class Profile:
    """A source to pull from, under a name of its own: one `[profiles.NAME]` table of the settings file."""

    name: str
    url: str = field(default="", metadata=_told("The source's base URL, without `/v1.0` or `/v1`.", _base_url))
    api: str = field(default="graph", metadata=_told("Which of its APIs to use: `graph` or `v1`.", _api))
    tenant: str = field(default="", metadata=_told("The partner's tenant id."))
    client_id: str = field(default="", metadata=_told("The application that signs in."))
    client_secret: str = field(
        default="", repr=False, metadata=_told("Its secret. Better kept out of the file: see `client_secret_env`.")
    )
    client_secret_env: str = field(default="", metadata=_told("The environment variable that holds the secret."))
    token: str = field(
        default="",
        repr=False,
        metadata=_told("A ready bearer token. Better kept out of the file: see `token_env`."),
    )
    token_env: str = field(
        default="",
        metadata=_told("The environment variable that holds a ready bearer token, instead of signing in."),
    )
    authority: str = field(
        default="", metadata=_told("Where to sign in, when it is neither Microsoft nor the source itself.", _url)
    )
    scope: str = field(default="", metadata=_told("The scope to ask for, when it is not the API's own."))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. `Settings()` is a complete server on one machine; `load` is how the command line makes one."""

    data: Path = field(
        default=Path("counterfoil-data"), metadata=_told("The data folder: catalog, files, keys and locks.", _path)
    )
    database_url: str = field(
        default="", metadata=_told("Where the catalog is. Empty: SQLite in the data folder.", _embedded_only)
    )
    files_url: str = field(
        default="", metadata=_told("Where the sealed files are. Empty: in the data folder.", _embedded_only)
    )
    engine_url: str = field(
        default="", metadata=_told("What sorts and renders. Empty: DuckDB, in this process.", _embedded_only)
    )
    host: str = field(default="127.0.0.1", metadata=_told("The address that `serve` listens on."))
    port: int = field(default=8080, metadata=_told("The port for http; 0 picks a free one.", _port))
    https_port: int | None = field(
        default=None, metadata=_told("The port for https; 0 picks a free one. Empty: no https.", _optional_port)
    )
    tls_cert: Path | None = field(
        default=None, metadata=_told("The certificate chain for https, as PEM.", _optional_path)
    )
    tls_key: Path | None = field(
        default=None, metadata=_told("The private key of that certificate, as PEM.", _optional_path)
    )
    public_url: str = field(
        default="",
        metadata=_told(
            "The URL that callers use, where it is not the one `serve` listens on: links bear it.", _base_url
        ),
    )
    issuer: str = field(
        default="",
        metadata=_told(
            "The identity provider whose tokens are good here. A `{tid}` in it must match the token's tenant.", _url
        ),
    )
    audience: str = field(
        default="",
        metadata=_told(
            "The audience a token must be made for: your own, never Microsoft's. Several are parted by commas."
        ),
    )
    jwks_url: str = field(
        default="", metadata=_told("Where the issuer's public keys are. Empty: its discovery document tells.", _url)
    )
    secret: str = field(
        default="",
        repr=False,
        metadata=_told("The keys that sign links and continuation tokens. Empty: a file in the data folder."),
    )
    profiles: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))

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
    ) -> Self:
        """Return the settings that arguments, environment and file add up to; raises UsageError.

        An argument of None was not given. `config` names the file; without it COUNTERFOIL_CONFIG does, or it is
        counterfoil.toml in `directory` if there is one.
        """
        file, table = _read_file(environ, directory, config)
        profiles = _profiles(table.pop("profiles", {}), file, environ)
        known = {each.name: each for each in fields(cls) if each.name != "profiles"}
        _refuse_unknown(table, known, f"{file.name}: ")
        _refuse_unknown_variables(environ, known, profiles.values())
        values: dict[str, Any] = {}
        for name, value in table.items():
            read = _read(known[name], value, f"{file.name}: {name}")
            values[name] = file.parent / read if isinstance(read, Path) else read
        for name, each in known.items():
            variable = PREFIX + name.upper()
            if variable in environ:
                values[name] = _read(each, environ[variable], variable)
        for name, value in arguments.items():
            if value is not None:
                values[name] = _read(known[name], value, "--" + name.replace("_", "-"))
        return cls(**values, profiles=profiles)

    def profile(self, name: str) -> Profile:
        """Return the profile of that name; raises UsageError."""
        if name not in self.profiles:
            raise UsageError(
                f"There is no profile {name!r}.{did_you_mean(name, self.profiles)}",
                remedy=f"Profiles are [profiles.NAME] tables of {FILE_NAME}.",
            )
        return self.profiles[name]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _read(setting: Field[Any], value: object, origin: str) -> Any:
    try:
        return setting.metadata["read"](value)
    except _WrongError as wrong:
        said = f", not {_shortened(value)}" if setting.repr else ""
        raise UsageError(f"{origin} {wrong}{said}.", remedy=_remedy_for(origin, value)) from None


def _shortened(value: object) -> str:
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _remedy_for(origin: str, value: object) -> str:
    # A Kubernetes service named `counterfoil` puts COUNTERFOIL_PORT=tcp://10.0.0.1:80 into every pod beside it.
    if origin.startswith(PREFIX) and str(value).startswith("tcp://"):
        return "Kubernetes set it, for a service of this name: say `enableServiceLinks: false` in the pod."
    return ""


def _read_file(environ: Mapping[str, str], directory: Path, config: Path | None) -> tuple[Path, dict[str, Any]]:
    """Return the settings file and what it says; an empty table where no file was asked for and none is there."""
    named = config or (Path(environ["COUNTERFOIL_CONFIG"]) if environ.get("COUNTERFOIL_CONFIG") else None)
    path = directory / (named.expanduser() if named else FILE_NAME)
    if named is None and not path.exists():
        return path, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The settings file {path} is not UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The settings file {path} is not TOML: {error}.") from None


def _profiles(tables: object, file: Path, environ: Mapping[str, str]) -> Mapping[str, Profile]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"{file.name}: profiles are written as [profiles.NAME] tables.")
    return MappingProxyType({name: _profile(name, table, file, environ) for name, table in tables.items()})


def _profile(name: str, table: Mapping[str, object], file: Path, environ: Mapping[str, str]) -> Profile:
    known = {each.name: each for each in fields(Profile) if each.name != "name"}
    where = f"{file.name}: profiles.{name}: "
    _refuse_unknown(table, known, where)
    values = {key: _read(known[key], value, where + key) for key, value in table.items()}
    if not values.get("url"):
        raise UsageError(f"{where}url is missing.")
    for key in ("client_secret", "token"):
        if variable := values.get(f"{key}_env"):
            if values.get(key):
                raise UsageError(f"{where}{key} and {key}_env are both given; keep one.")
            values[key] = environ.get(variable, "")
    return Profile(name, **values)


def _refuse_unknown(table: Mapping[str, object], known: Mapping[str, object], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}there is no setting {key!r}.{did_you_mean(key, known)}")


def _refuse_unknown_variables(
    environ: Mapping[str, str], known: Mapping[str, object], profiles: Iterable[Profile]
) -> None:
    allowed = {PREFIX + name.upper() for name in known} | set(OTHER_VARIABLES)
    named = {variable for profile in profiles for variable in (profile.client_secret_env, profile.token_env)}
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in allowed | named:
            raise UsageError(
                f"The environment has {variable}, and there is no such setting.{did_you_mean(variable, allowed)}",
                remedy=_remedy_for(variable, value),
            )
