"""Every error Counterfoil raises on purpose, in one tree.

    CounterfoilError                  one clear sentence, and a remedy where there is one
    |-- UsageError                    a parameter, setting or name that cannot be right
    |-- InputError                    a file, line or attribute that cannot be published
    |   `-- DamagedInputError         ... because the file itself is cut or corrupt
    |-- SurpriseError                 a publication would change more than it was allowed to
    |-- DataFolderError               the data folder cannot be used
    |   |-- LostCatalogError          ... its catalog is missing, damaged, or not that of its files
    |   |-- NewerDataError            ... a newer Counterfoil wrote it
    |   |-- FullDiskError             ... there is no room left
    |   `-- LockedError               ... another publication is at work; try again
    |-- MovedError                    the dataset changed while a publication was prepared
    |   `-- RebaseError               ... in segments that it does not replace: it may be based on them
    |-- MissingError                  no such dataset, revision, partner or client here
    |-- DamagedError                  stored bytes are not what the catalog says they are
    |-- SideError                     what was to be summed, audited or compared cannot be, as it stands
    |-- RequestError                  the answer to an HTTP caller is "no"; the message is sent to them
    |   |-- BadRequestError           400
    |   |-- UnauthenticatedError      401
    |   |-- ForbiddenError            403
    |   |-- NotFoundError             404
    |   |-- MethodNotAllowedError     405
    |   |-- NotAcceptableError        406
    |   |-- GoneError                 410
    |   |-- TooLargeError             413
    |   |-- UnsupportedMediaError     415
    |   |-- NotServedError            501
    |   `-- UnavailableError          503, with retry_after_s
    |       `-- TooOftenError         429, with retry_after_s
    `-- SourceError                   what another server did to our client
        |-- NoAnswerError             it could not be reached, or stopped answering
        |-- RefusedError              it said no: status, code, request ids
        |-- OperationFailedError      the export ran and failed
        |-- OperationTimeoutError     the export or pull did not end within the bound
        |-- LinkExpiredError          a signed link is no longer good; ask for the manifest again
        `-- ProofError                what arrived is not what was promised

The text of a RequestError reaches strangers, so it never holds a path, SQL, a secret or anything of another
partner. Everything that is not a RequestError is answered with a plain 500 and a request id, and is logged in full
under that id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Self, TypeVar

E = TypeVar("E", bound=StrEnum)

# A sentence that quotes another one, which brought its own full stop. An ellipsis and `../folder` are none.
_TWO_STOPS: Final = re.compile(r"(?<=[\w)\]'\"`%])\.\.(?=\s|$)")


class CounterfoilError(Exception):
    """Anything Counterfoil refuses or cannot do, in one sentence.

    `remedy` is a sentence that says what to do. `parameter` names the parameters that the remedy is about, separated
    by spaces: `to`, or `api=graph` with a value. A shell spells them in its own way, see `advice`.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "", parameter: str = "") -> None:
        message = _TWO_STOPS.sub(".", message)
        super().__init__(message)
        self.message = message
        self.remedy = _TWO_STOPS.sub(".", remedy)
        self.parameter = parameter

    def __str__(self) -> str:
        return f"{self.message} {self.advice(_as_in_python)}".rstrip()

    def advice(self, spelled: Callable[[str, str], str]) -> str:
        """Return the remedy, with the parameters it is about in brackets; `spelled` is given name and value."""
        if not self.remedy or not self.parameter:
            return self.remedy
        pairs = (each.partition("=") for each in self.parameter.split())
        names = ", ".join(spelled(name, value) for name, _, value in pairs)
        return f"{self.remedy.removesuffix('.')} ({names})."

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole: what each error's own `__init__` wants is not known to pickle."""
        return _restored, (type(self), self.args, self.__dict__)


def shortened(text: str, length_max: int = 80) -> str:
    """Return a text that fits into a message: at most `length_max` characters, with ... in place of what was cut."""
    return text if len(text) <= length_max else text[: length_max - 3] + "..."


def _as_in_python(name: str, value: str) -> str:
    return f'{name}="{value}"' if value else f"`{name}`"


def _restored(kind: type[CounterfoilError], args: tuple[object, ...], facts: dict[str, object]) -> CounterfoilError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class UsageError(CounterfoilError):
    """The command, setting or argument cannot be right, whatever the data."""

    exit_code = 2


def member_of(names: type[E], name: str, refusal: str, parameter: str) -> E:
    """Return the member of an enumeration that `name` means; raises UsageError, which says `refusal` and lists all."""
    try:
        return names(name)
    except ValueError:
        raise UsageError(refusal, remedy=f"Take one of {', '.join(names)}.", parameter=parameter) from None


class InputError(CounterfoilError):
    """A file, line or attribute cannot be published as it is.

    `line` counts from 1 and is None where the whole file is meant; `value` is shortened for display.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str = "",
        line: int | None = None,
        attribute: str = "",
        value: str | None = None,
        remedy: str = "",
        parameter: str = "",
    ) -> None:
        self.reason = reason = reason.removesuffix(".")
        self.file = file
        self.line = line
        self.attribute = attribute
        self.value = None if value is None else shortened(value)
        where = ", ".join(part for part in (file, f"line {line}" if line is not None else "", attribute) if part)
        said = f" ({self.value!r})" if self.value is not None else ""
        message = f"{where}: {reason}{said}." if where else f"{reason}{said}."
        super().__init__(message, remedy=remedy, parameter=parameter)

    def further(self, lines: int) -> Self:
        """Return the same error so many lines further on: its own line was counted from within the file."""
        facts = {name: vars(self)[name] for name in ("file", "attribute", "value", "remedy", "parameter")}
        return type(self)(self.reason, line=None if self.line is None else self.line + lines, **facts)


class DamagedInputError(InputError):
    """The input ends too early or does not decompress: no reject list can make it whole."""


class SurpriseError(CounterfoilError):
    """A publication would change what is in force in a way that nobody said is meant; nothing was published."""


class DataFolderError(CounterfoilError):
    """The data folder is missing, unreadable or not ours."""


class LostCatalogError(DataFolderError):
    """The catalog is missing, damaged, of other files, or older than its files; `counterfoil rebuild` may help."""


class NewerDataError(DataFolderError):
    """A newer Counterfoil wrote this data folder; this one must not touch it."""


class FullDiskError(DataFolderError):
    """There is no room left. Nothing was published; what was pulled so far is kept."""


class LockedError(DataFolderError):
    """Another publication holds the dataset, or another pull the folder; try again when it is done."""

    exit_code = 4


class MovedError(CounterfoilError):
    """The dataset got a new revision while this publication was prepared."""

    exit_code = 4


class RebaseError(MovedError):
    """Segments that the publication does not replace moved; what the dataset will hold has to be computed again."""


class MissingError(CounterfoilError):
    """What was named does not exist in this data folder."""


class DamagedError(CounterfoilError):
    """Stored bytes differ from what the catalog promises."""


class SideError(CounterfoilError):
    """A side of a reconciliation is empty, damaged, in two currencies or otherwise no answer to what was asked."""


class RequestError(CounterfoilError):
    """An HTTP caller is refused; `message` is sent to them unchanged."""

    status = 400

    def __init__(self, message: str, *, code: str = "", parameter: str = "") -> None:
        super().__init__(message, parameter=parameter)
        self.code = code


class BadRequestError(RequestError):
    """A parameter, body or token of the request is wrong; the message names it."""


class UnauthenticatedError(RequestError):
    """There is no bearer token, or it is not good here."""

    status = 401


class ForbiddenError(RequestError):
    """The token is good, and not for this."""

    status = 403


class NotFoundError(RequestError):
    """No such thing for this caller; another partner's things answer exactly so."""

    status = 404


class MethodNotAllowedError(RequestError):
    """The route exists, with other methods."""

    status = 405

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class NotAcceptableError(RequestError):
    """The caller accepts no form that we can give."""

    status = 406


class GoneError(RequestError):
    """It existed and its time is over."""

    status = 410


class TooLargeError(RequestError):
    """The body or header is longer than we read."""

    status = 413


class UnsupportedMediaError(RequestError):
    """The body's type or encoding is not one that we read."""

    status = 415


class NotServedError(RequestError):
    """Microsoft has this route; Counterfoil does not serve it yet."""

    status = 501


class UnavailableError(RequestError):
    """Not now; try again in `retry_after_s` seconds."""

    status = 503

    def __init__(self, message: str, *, retry_after_s: int, code: str = "") -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class TooOftenError(UnavailableError):
    """The caller asked too often; try again in `retry_after_s` seconds."""

    status = 429


class SourceError(CounterfoilError):
    """A server our client talked to did not deliver."""


class NoAnswerError(SourceError):
    """The server could not be reached or stopped answering; asking again is safe.

    `hopeless`: asking again cannot help before something is changed, such as a certificate.
    """

    exit_code = 4

    def __init__(self, message: str, *, remedy: str = "", hopeless: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.hopeless = hopeless


class RefusedError(SourceError):
    """The server answered no. `request_ids` name the call in its logs."""

    def __init__(self, message: str, *, status: int, code: str = "", request_ids: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.code = code
        self.request_ids = request_ids

    @property
    def is_about_who_asks(self) -> bool:
        """Whether the same token would be refused whatever it asks for."""
        return self.status in (401, 403)


class OperationFailedError(SourceError):
    """The export itself ended in failure; `code` is the server's own."""

    def __init__(self, message: str, *, code: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class OperationTimeoutError(SourceError):
    """The export or the pull did not end within the bound that was set; it may still end later."""

    exit_code = 4


class LinkExpiredError(SourceError):
    """The signed link is no longer good; the manifest gives a new one."""


class ProofError(SourceError):
    """What arrived differs from what the server promised; nothing was kept."""
