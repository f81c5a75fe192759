"""The keyring of a data folder, which signs links and continuation tokens."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from counterfoil.errors import DataFolderError, UsageError
from counterfoil.lifetimes_and_sizes import LINK, WALK
from counterfoil.storage.private_files import load_or_create_private
from counterfoil.storage.rotated_keys import RotatedFile, rotate
from counterfoil.wire.tokens import Keyring

KEYRING_FILE: Final = "secret"
_LOOK_EVERY_S: Final = 1.0
_OVERLAP: Final = timedelta(minutes=5)  # for servers that sign with the former key a moment longer, and their clocks


def load_or_create_keyring(data: Path, setting: str | None = None) -> Keyring:
    """Return the keyring of the setting, or else of the data folder, which gets one if it has none.

    Raises UsageError for a bad setting, DataFolderError for a bad file.
    """
    if setting:
        return Keyring.from_text(setting)
    path = data / KEYRING_FILE
    load_or_create_private(path, lambda: Keyring.fresh_text().encode("ascii"))
    return StoredKeyring(path)


def rotate_keyring(data: Path, now: datetime, *, at_once: bool) -> bool:
    """Let a new key sign; the former ones are honoured until what they signed ends, or `at_once` no more.

    Returns whether there was a key. Raises DataFolderError.
    """
    until = now if at_once else now + max(LINK, WALK) + _OVERLAP
    return rotate(data / KEYRING_FILE, Keyring.fresh_text(), until)


class StoredKeyring(Keyring):
    """The keyring of a file, which another process may replace: see `rotated_keys`.

    The file is looked at before a key signs, once a second, and whenever a key is met that is not known. So a server
    takes up a new key by itself, and at once where another one has used it.
    """

    __slots__ = ("_file", "_looked_at", "_looking")

    def __init__(self, path: Path) -> None:
        """Raises DataFolderError for a file that is missing or damaged; later such a one changes nothing."""
        self._file = RotatedFile(path)
        self._looking = threading.Lock()  # who comes while it is read waits for what is read
        self._looked_at = time.monotonic()
        super().__init__(_keys_in(self._file))

    def sign(self, purpose: str, message: bytes) -> tuple[str, bytes]:
        """Return the id of the key that signs today, and the 32-byte MAC of the message."""
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._look_again()
        return super().sign(purpose, message)

    def verify(self, purpose: str, key_id: str, message: bytes, mac: bytes) -> bool:
        """Whether the MAC is that of one of our keys; compared in constant time."""
        if not self.has(key_id) or time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._look_again()
        return super().verify(purpose, key_id, message, mac)

    def _look_again(self) -> None:
        with self._looking, suppress(DataFolderError):
            self._looked_at = time.monotonic()
            if self._file.has_changed():
                self.renew(_keys_in(self._file))


def _keys_in(file: RotatedFile) -> dict[str, bytes]:
    try:
        return Keyring.keys_of("\n".join(file.read()))
    except (UsageError, UnicodeDecodeError) as error:
        why = error.message if isinstance(error, UsageError) else "It is not text."
        raise DataFolderError(
            f"The keyring file {file.path} is damaged: {why}",
            remedy="Put back a copy, or delete it: every link and continuation token that is out is void then.",
        ) from error
