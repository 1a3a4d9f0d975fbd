"""A folder of this user's alone, in which small JSON files carry a seal that only this folder's key makes."""

import hmac
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import read_foreign

KEY_BYTES = 32
LARGEST_FILE = 2**20


class SealedFolder:
    """Files that were edited by hand, copied under another name or made elsewhere read as absent.

    The seal is no secret from the user who owns the folder; it keeps apart what the suite wrote and what
    something else wrote.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder where it is absent; raises OSError where it is not this user's alone or not writable."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(path, stat.S_IWGRP | stat.S_IWOTH, "chmod go-w")
        self.path = path
        self._key = _read_key(path / ".key") or _make_key(path / ".key")

    def read(self, path: Path, name: str) -> dict[str, Any] | None:
        """The content that was written under the name, or None."""
        try:
            content = json.loads(read_foreign(path, LARGEST_FILE, links=False))
            seal = content.pop("seal")
            return content if hmac.compare_digest(seal, self._seal(name, content)) else None
        except (UsageError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, path: Path, name: str, content: dict[str, Any]) -> None:
        """Write the content with its seal; raises OSError where that fails."""
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
        try:
            temporary.write_text(json.dumps(content | {"seal": self._seal(name, content)}))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _seal(self, name: str, content: dict[str, Any]) -> str:
        text = f"{name}\n{json.dumps(content, sort_keys=True)}"
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def _check_owner(path: Path, forbidden: int, remedy: str) -> None:
    """Raise PermissionError where another user owns the path or has the forbidden rights to it."""
    if not hasattr(os, "geteuid"):
        return
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"'{path}' belongs to another user; remove it")
    if status.st_mode & forbidden:
        raise PermissionError(f"other users can write to '{path}'; {remedy} '{path}'")


def _read_key(path: Path) -> bytes | None:
    try:
        _check_owner(path, stat.S_IRWXG | stat.S_IRWXO, "remove")
        key = read_foreign(path, KEY_BYTES, links=False)
    except (OSError, UsageError):
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key(path: Path) -> bytes:
    """A new key in place, or that of another process that was faster."""
    temporary = path.with_name(f".key-{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        if _read_key(path) is None:
            with suppress(FileNotFoundError):
                path.unlink()
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    key = _read_key(path)
    if key is None:
        raise PermissionError(f"'{path}' cannot be made this user's alone")
    return key
