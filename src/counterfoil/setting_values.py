"""How the value of a setting is read and checked, and how one that cannot be right is refused.

A reader takes what a file, the environment or the command line gave, and returns the value or raises
`WrongValueError` with what it must be. A reader does not know where its value came from; `read_value` does, and makes
the sentence around it. It never repeats a value that may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from counterfoil.errors import UsageError, shortened

T = TypeVar("T")
PREFIX: Final = "COUNTERFOIL_"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_NAME_LENGTH_MAX: Final = 24  # of a variable: a longer text in both cases with digits looks like a secret
_SECRET_LENGTH_MIN: Final = 16


DATABASES: Final = ("sqlite", "postgresql")  # the engines of a catalog, as their URLs begin


class WrongValueError(ValueError):
    """What a value must be. The sentence around it is made where the value's origin is known."""


class NamedValueError(WrongValueError):
    """Like `WrongValueError`, but the message already names the wrong part of the value."""


def read_text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise WrongValueError("must be text")
    return value.strip()


def read_path(value: object) -> Path:
    """Read a path."""
    if not isinstance(value, str | Path) or not str(value):
        raise WrongValueError("must be a path")
    return Path(value).expanduser()


def read_secret(value: object) -> str:
    """Read a secret that an operator made up; an empty text means none."""
    given = read_text(value)
    if given and (len(given) < _SECRET_LENGTH_MIN or not given.isascii() or not given.isprintable() or " " in given):
        raise WrongValueError(f"must have at least {_SECRET_LENGTH_MIN} ASCII characters and no space")
    return given


def optional(read: Callable[[object], T]) -> Callable[[object], T | None]:
    """Return a reader for which an empty text means none."""
    return lambda value: None if value == "" else read(value)


def whole_number(smallest: int, largest: int) -> Callable[[object], int]:
    """Return a reader of whole numbers within bounds."""

    def read(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 5:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise WrongValueError(f"must be a whole number from {smallest} to {largest}")
        return value

    return read


read_port = whole_number(0, 65535)


def read_url(value: object) -> str:
    """Read an address; an empty text means none."""
    given = read_text(value)
    try:
        parts = urlsplit(given)
        _ = parts.port  # urlsplit finds a bad port only when asked for it
    except ValueError:
        raise WrongValueError("must be a URL that begins with https:// or http://") from None
    if given and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise WrongValueError("must be a URL that begins with https:// or http://, without ? or #")
    return given


def read_base_url(value: object) -> str:
    """Read an address that others are appended to."""
    return read_url(value).rstrip("/")


def read_embedded_only(value: object) -> str:
    """Read a setting that must still be empty."""
    if read_text(value):
        raise WrongValueError("must be left out: only the embedded default exists so far")
    return ""


def read_database_url(value: object) -> str:
    """Read where the catalog is: the URL of a database, or nothing. It may hold a password, so no error repeats it."""
    text = read_text(value)
    if text and text.partition("://")[0] not in DATABASES:
        raise WrongValueError(f"must begin with {' or '.join(f'{name}://' for name in DATABASES)}")
    return text


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reader of one of some words."""

    def read(value: object) -> str:
        if value not in words:
            raise WrongValueError(f"must be {' or '.join(map(repr, words))}")
        return str(value)

    return read


def setting(default: T, about: str, read: Callable[[object], object] = read_text, *, secret: bool = False) -> T:
    """Return the dataclass field of a setting: a sentence about it, and what reads and checks its value."""
    return field(default=default, repr=not secret, metadata={"about": about, "read": read})


def read_value(setting: Field[Any], value: object, origin: str) -> Any:
    """Read the value of a setting; raises UsageError that names the origin."""
    try:
        return setting.metadata["read"](value)
    except WrongValueError as wrong:
        text = repr(str(value) if isinstance(value, Path) else value)
        given = f", not {shortened(text, 60)}" if setting.repr and not isinstance(wrong, NamedValueError) else ""
        raise UsageError(f"{origin} {wrong}{given}.", remedy=remedy_for(origin, value)) from None


def remedy_for(origin: str, value: object) -> str:
    """Return what to do about a variable that nobody set on purpose, or nothing."""
    # A Kubernetes service named `counterfoil` puts COUNTERFOIL_PORT=tcp://10.0.0.1:80 into every pod beside it.
    if origin.startswith(PREFIX) and str(value).startswith("tcp://"):
        return "Kubernetes set it, for a service of this name: say `enableServiceLinks: false` in the pod."
    return ""


def refuse_unknown(table: Mapping[str, object], known: Iterable[str], where: str) -> None:
    """Raise UsageError for the first unknown key."""
    names = list(known)
    for key in table:
        if key not in names:
            raise UsageError(f"{where}there is no setting {key!r}.{did_you_mean(key, names)}")


def is_variable_name(text: str) -> bool:
    """Whether a text can be the name of an environment variable, and does not look like a secret put in its place.

    Names are of one case, or short; what is long, mixed and has digits is shown nowhere.
    """
    if _VARIABLE.fullmatch(text) is None:
        return False
    is_mixed = text not in (text.upper(), text.lower()) and any(each.isdigit() for each in text)
    return len(text) < _NAME_LENGTH_MAX or not is_mixed


def read_variable_name(value: object) -> str:
    """Read the name of an environment variable; one that cannot be is not repeated: it may be the secret itself."""
    name = value.strip() if isinstance(value, str) else None
    if name is None or (name and not is_variable_name(name)):
        raise NamedValueError(
            "must be the name of an environment variable, such as CONTOSO_CLIENT_SECRET, and not the secret itself; "
            "what is written there is not shown"
        )
    return name


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
