"""What a process does to the files below a folder, and which images it answers with Success, as strace saw it.

A power cut asks for the order of things. Each change stands where it had ended; what a sync is sure to have made
durable is what had ended when it began; an answer stands where its sending began.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..parts.processes import wait_for

_CALLS = (
    "openat,creat,close,dup,dup2,dup3,lseek,write,pwrite64,writev,sendfile,copy_file_range,ftruncate,truncate,"
    "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,"
    "sendto,sendmsg,clone,clone3,fork,vfork"
)


def recording(trace: Path) -> list[object]:
    """What stands before the command line of a process that is to be recorded; the process keeps its identifier."""
    options = ["-D", "-f", "--seccomp-bpf", "-q", "-y", "-xx", "-s", 1 << 26]
    return ["strace", *options, "-o", trace, "-e", f"trace={_CALLS}"]


@dataclass(frozen=True, slots=True)
class Made:
    """A file, or a folder, has got its name."""

    path: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes at an offset of a file."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Copied:
    """Bytes of one file at an offset of another."""

    path: str
    offset: int
    source: str
    source_offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Resized:
    """A file has another size: cut, or filled with zeros."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file or folder has another name."""

    path: str
    new: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A name is gone."""

    path: str


@dataclass(frozen=True, slots=True)
class Synced:
    """The bytes of a file, or the entries of a folder, are durable as the first `covers` operations left them."""

    path: str
    covers: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The sending of Success has begun to the C-STORE of an image."""

    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The sending of an object by C-STORE has begun."""

    sop_instance_uid: str


Operation = Made | Written | Copied | Resized | Renamed | Removed | Synced | Answered | Sent

_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_LINE = re.compile(r"(?P<task>\d+) +(?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_ENDED = re.compile(r"(?P<task>\d+) +\+\+\+ .* \+\+\+")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?:<(?P<path>[^>]*)>)?")
_UNFINISHED = " <unfinished ...>"
_FD = re.compile(r"(?P<number>\d+|AT_FDCWD)<(?P<path>[^>]*)>")
_STRING = re.compile(r'"(?P<text>[^"]*)"')
#: Command Field of C-STORE (PS3.7 9.3.1), of the request and of the response, Status 0000, Affected SOP Instance UID.
_STORE = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x00"
_STORED = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"
_SUCCESS = b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00"
_UID = re.compile(rb"\x00\x00\x00\x10(?P<length>.\x00\x00\x00)(?P<uid>[0-9.]+)", re.DOTALL)


def read_trace(trace: Path, root: Path, before: Path | None = None) -> list[Operation]:
    """The operations below `root` of the process that was recorded, without those of processes that it has started.

    It has ended; what writes the trace may do so a moment later, and is waited for. `before`: a copy of `root` as it
    was before.
    """
    wait_for(lambda: _is_whole(trace), "the trace is whole", 60)
    there = (path for path in before.rglob("*") if path.is_file()) if before else ()
    sizes = {str(root / path.relative_to(before)): path.stat().st_size for path in there if before}
    return _Reader(str(root), sizes=sizes).read(trace)


def _is_whole(trace: Path) -> bool:
    """Whether the end of the process is in it, whose identifier stands first."""
    with trace.open(encoding="ascii") as lines:
        process = lines.readline().partition(" ")[0]
        return any(found["task"] == process for found in map(_ENDED.match, lines) if found)


@dataclass
class _Descriptor:
    """An open file: where it is written next."""

    position: int = 0
    appends: bool = False


@dataclass
class _Reader:
    root: str
    done: list[Operation] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    _open: dict[int, _Descriptor] = field(default_factory=dict)
    _parts: dict[str, str] = field(default_factory=dict)
    _begun: dict[str, int] = field(default_factory=dict)
    _threads: set[str] = field(default_factory=set)

    def read(self, trace: Path) -> list[Operation]:
        with trace.open(encoding="ascii") as lines:
            for line in lines:
                self._line(line.rstrip("\n"))
        return self.done

    def _line(self, line: str) -> None:
        found = _LINE.match(line)
        if found is None:
            return
        task, rest = found["task"], found["rest"]
        if not self._threads:
            self._threads.add(task)
        if task not in self._threads:
            return
        resumed = _RESUMED.match(rest)
        begun = self._begun.pop(task, len(self.done)) if resumed else len(self.done)
        if resumed:
            rest = self._parts.pop(task, "") + resumed["rest"]
        elif rest.endswith(_UNFINISHED):
            self._parts[task], self._begun[task] = rest.removesuffix(_UNFINISHED), begun
            self._sends(rest)
            return
        call = _CALL.match(rest)
        if call is not None and int(call["result"]) >= 0:
            if not resumed:
                self._sends(rest)
            self._call(call["name"], call["arguments"], int(call["result"]), begun)

    def _sends(self, rest: str) -> None:
        if not rest.startswith(("sendto(", "sendmsg(")):
            return
        data = b"".join(_strings(rest))
        uids = [found["uid"].decode() for found in _UID.finditer(data)]
        if _STORED in data and _SUCCESS in data:
            self.done += map(Answered, uids)
        elif _STORE in data:
            self.done += map(Sent, uids)

    def _call(self, name: str, arguments: str, result: int, begun: int) -> None:
        if name in ("clone", "clone3") and "CLONE_THREAD" in arguments:
            self._threads.add(str(result))
        handler = getattr(self, f"_on_{_ALIKE.get(name, name)}", None)
        if handler is not None:
            for operation in handler(arguments, result, begun):
                self.done.append(operation)

    # --- one method a call; they give what it has changed

    def _on_openat(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        path = _path_at(arguments)
        flags = set(re.findall(r"O_\w+", arguments))
        self._open[result] = _Descriptor(appends="O_APPEND" in flags)
        if self._is_below(path) and "O_CREAT" in flags and path not in self.sizes:
            self.sizes[path] = 0
            yield Made(path)
        elif self._is_below(path) and "O_TRUNC" in flags:
            self.sizes[path] = 0
            yield Resized(path, 0)

    def _on_close(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        self._open.pop(_descriptor(arguments)[0], None)
        yield from ()

    def _on_dup(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        self._open[result] = self._open.setdefault(_descriptor(arguments)[0], _Descriptor())
        yield from ()

    def _on_lseek(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        self._open.setdefault(_descriptor(arguments)[0], _Descriptor()).position = result
        yield from ()

    def _on_write(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        number, path = _descriptor(arguments)
        if self._is_below(path):
            yield from self._write(number, path, b"".join(_strings(arguments))[:result])

    def _on_pwrite64(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        _, path = _descriptor(arguments)
        if self._is_below(path):
            yield self._written(path, int(arguments.rpartition(", ")[2]), b"".join(_strings(arguments))[:result])

    def _on_sendfile(self, arguments: str, result: int, _begun: int) -> Iterator[Operation]:
        (number, path), (_, source) = ((int(n) if n.isdigit() else -1, _text(p)) for n, p in _FD.findall(arguments)[:2])
        if not self._is_below(path) or not result:
            return
        assert self._is_below(source), f"{path} is filled from {source}, whose bytes were not recorded"
        begins = re.search(r"\[(\d+)\]", arguments)
        assert begins is not None, f"a copy from an unknown place of {source}"
        opened = self._open.setdefault(number, _Descriptor())
        yield Copied(path, opened.position, source, int(begins[1]), result)
        opened.position += result
        self.sizes[path] = max(self.sizes.get(path, 0), opened.position)

    def _on_ftruncate(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        path = _text(_FD.findall(arguments)[0][1]) if _FD.match(arguments) else _path_at(arguments)
        if self._is_below(path):
            self.sizes[path] = int(arguments.rpartition(", ")[2])
            yield Resized(path, self.sizes[path])

    def _on_fsync(self, arguments: str, _result: int, begun: int) -> Iterator[Operation]:
        _, path = _descriptor(arguments)
        if self._is_below(path) or path == self.root:
            yield Synced(path, begun)

    def _on_rename(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        old, new = (each.decode() for each in _strings(arguments))
        if self._is_below(old) or self._is_below(new):
            assert self._is_below(old), f"{old} was moved into {new}"
            assert self._is_below(new), f"{old} was moved to {new}"
            self.sizes[new] = self.sizes.pop(old, 0)
            yield Renamed(old, new)

    def _on_unlink(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        path = _path_at(arguments)
        if self._is_below(path):
            self.sizes.pop(path, None)
            yield Removed(path)

    def _on_mkdir(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        path = _path_at(arguments)
        if self._is_below(path):
            yield Made(path, folder=True)

    def _on_link(self, arguments: str, _result: int, _begun: int) -> Iterator[Operation]:
        assert self.root not in _HEX.sub(_unhex, arguments), f"links are not replayed: {arguments}"
        yield from ()

    # ---

    def _write(self, number: int, path: str, data: bytes) -> Iterator[Operation]:
        opened = self._open.setdefault(number, _Descriptor())
        offset = self.sizes.get(path, 0) if opened.appends else opened.position
        opened.position = offset + len(data)
        yield self._written(path, offset, data)

    def _written(self, path: str, offset: int, data: bytes) -> Written:
        self.sizes[path] = max(self.sizes.get(path, 0), offset + len(data))
        return Written(path, offset, data)

    def _is_below(self, path: str) -> bool:
        return path.startswith(self.root + "/") and not path.endswith("(deleted)")


_ALIKE = {
    "creat": "openat",
    "dup2": "dup",
    "dup3": "dup",
    "writev": "write",
    "copy_file_range": "sendfile",
    "truncate": "ftruncate",
    "fdatasync": "fsync",
    "renameat": "rename",
    "renameat2": "rename",
    "unlinkat": "unlink",
    "rmdir": "unlink",
    "mkdirat": "mkdir",
    "linkat": "link",
    "symlink": "link",
    "symlinkat": "link",
}


def _unhex(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8", "surrogateescape")


def _text(hexadecimal: str) -> str:
    return _HEX.sub(_unhex, hexadecimal)


def _strings(arguments: str) -> Sequence[bytes]:
    return [bytes.fromhex(found["text"].replace("\\x", "")) for found in _STRING.finditer(arguments)]


def _descriptor(arguments: str) -> tuple[int, str]:
    found = _FD.match(arguments)
    assert found is not None, arguments[:200]
    return int(found["number"]), _text(found["path"])


def _path_at(arguments: str) -> str:
    """The path that a call names, made whole by the folder that it is told beside it."""
    path = _strings(arguments)[0].decode("utf-8", "surrogateescape")
    at = _FD.match(arguments)
    return path if path.startswith("/") or at is None else f"{_text(at['path'])}/{path}"
