"""The package's own code as a digest, for what must not outlive a change of it."""

import hashlib
from functools import cache
from pathlib import Path

import reweightbench


@cache
def digest_package() -> str:
    """The sha256 of the names and contents of all Python files of the package."""
    digest = hashlib.sha256()
    folder = Path(reweightbench.__file__).parent
    # Its parts are links in a checkout, which a recursive search does not follow.
    parts = [folder / name for name in ("benchmark", "methods", "datasets")]
    for path in sorted(path for part in parts for path in part.rglob("*.py")):
        digest.update(f"\n{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
