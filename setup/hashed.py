"""Requirements for the wheels of a folder, each by version and SHA-256, as `pip install --require-hashes` takes them.

python setup/hashed.py FOLDER
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import parse_wheel_filename


def requirements(folder: Path) -> Iterator[str]:
    """A line a wheel, in the order of their names."""
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        yield f"{name}=={version} --hash=sha256:{digest}"


if __name__ == "__main__":
    print("\n".join(requirements(Path(sys.argv[1]))))
