"""The key of what a module has made and kept: a digest of all the code of this repository that it can have used.

It covers the import closure of the module, imports within functions too, the `__init__` of every package on the way,
and the tables and settings that lie beside any of these modules. Comments and docstrings do not count, so that words
can change without hours of computing. Libraries are not covered; who keeps what depends on their last bits adds their
versions.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import models

_ROOT = Path(models.__file__).parents[1]
_PACKAGE = "models"
_DATA = frozenset({".csv", ".json", ".toml", ".yaml"})


@lru_cache
def source_digest(module: str, root: Path = _ROOT) -> str:
    """SHA-256 (hex, 16) over what `module` is made of; `root` is the folder of the package `models`.

    It is read once a process: files may change under a run, which goes on with the code that it has loaded.
    """
    total = hashlib.sha256()
    for path in source_files(module, root):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + _content(path) + b"\0")
    return total.hexdigest()[:16]


def source_files(module: str, root: Path = _ROOT) -> tuple[Path, ...]:
    """The sources in the import closure of `module`, itself included, and the data files beside them; sorted.

    Raises:
        ModuleNotFoundError: there is no such module in `root`.
    """
    waiting, found = [module], set[Path]()
    while waiting:
        name = waiting.pop()
        path = _file_of(name, root)
        if path is None:
            raise ModuleNotFoundError(f"{root} has no module {name}", name=name)
        if path not in found:
            found.add(path)
            waiting += _packages_of(name)
            waiting += _imported(path, name, root)
    data = {beside for path in found for beside in path.parent.iterdir() if beside.suffix in _DATA}
    return tuple(sorted(found | data))


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.suffix in _DATA else _read(path.read_text("utf-8")).code.encode()


class _Import(NamedTuple):
    """One statement of a source: `from` so many packages above (0: absolute) the module, or none, `names`."""

    above: int
    module: str | None
    names: tuple[str, ...]


class _Source(NamedTuple):
    """A source without comments, docstrings and layout, and what it imports."""

    code: str
    imports: tuple[_Import, ...]


@cache
def _read(text: str) -> _Source:
    """Parsed once for all the modules in whose closure it is."""
    tree = ast.parse(text)
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [_Import(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append(_Import(node.level, node.module, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [it for it in node.body if not _is_text(it)]
    return _Source(ast.dump(tree), tuple(imports))


def _is_text(statement: ast.stmt) -> bool:
    """Whether it is a docstring, of an attribute too: a text that stands for itself does nothing."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file_of(name: str, root: Path) -> Path | None:
    """Source of a module or package of this repository."""
    place = root.joinpath(*name.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _packages_of(name: str) -> Iterator[str]:
    """The packages that a module lies in, whose `__init__` is run before it."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def _imported(path: Path, name: str, root: Path) -> Iterator[str]:
    """Modules of this repository that a source names in its imports; of `from a import b` both a and a.b."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for it in _read(path.read_text("utf-8")).imports:
        above = package.split(".")[: len(package.split(".")) + 1 - it.above] if it.above else []
        origin = ".".join([*above, *([it.module] if it.module else [])])
        for each in (origin, *(f"{origin}.{imported}" for imported in it.names)):
            if each.split(".")[0] == _PACKAGE and _file_of(each, root) is not None:
                yield each
