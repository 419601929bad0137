"""The configuration as it was read, for people to look at: what proves who somebody is, or lets one in, is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

from node.settings import Settings

#: Keys whose texts are secrets; where they name a file its path is none.
_SECRET = re.compile(r"password|passcode|token|secret|passphrase|api_?key|^key$", re.IGNORECASE)
#: Of some services the path of the address is the secret.
_SECRET_PATHS = frozenset({"alerts.webhook.url"})
_LEFT_OUT = "…"


@dataclass(frozen=True, slots=True)
class Configured:
    """A key with its value as text.

    Attributes:
        key: as in `alerts.mail.host`, or `remotes[PACS].port`.
        is_default: the value is the one that the key has where the file does not name it.
        is_hidden: the value, or a part of it, is left out.
    """

    key: str
    value: str
    is_default: bool
    is_hidden: bool = False


def configured(settings: Settings) -> tuple[Configured, ...]:
    """Every key, in the order of its section."""
    return tuple(_of(settings, ""))


def _of(section: BaseModel, prefix: str) -> Iterator[Configured]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _of(value, f"{key}.")
        elif isinstance(value, tuple) and value and all(isinstance(it, BaseModel) for it in value):
            for number, it in enumerate(value, 1):
                yield from _of(it, f"{key}[{getattr(it, 'name', '') or number}].")
        else:
            default = value == field.get_default(call_default_factory=True)
            yield _shown(key, name, value, default)


def _shown(key: str, name: str, value: Any, default: bool) -> Configured:  # noqa: ANN401 - of any key
    if isinstance(value, str) and value and _SECRET.search(name):
        return Configured(key, _LEFT_OUT, default, True)
    text = _text(value)
    if not isinstance(value, Path) and "://" in text:
        shown = " ".join(_public(it, key in _SECRET_PATHS) if "://" in it else it for it in text.split(" "))
        return Configured(key, shown, default, shown != text)
    return Configured(key, text, default)


def _text(value: Any) -> str:  # noqa: ANN401 - of any key
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple | frozenset | list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _public(url: str, path_too: bool) -> str:
    """An address without user, password and what follows a question mark."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _LEFT_OUT
    user, at, host = parts.netloc.rpartition("@")
    path = _LEFT_OUT if path_too and parts.path.strip("/") else parts.path
    query = _LEFT_OUT if parts.query else ""
    return urlunsplit((parts.scheme, f"{_LEFT_OUT}@{host}" if at and user else host, path, query, ""))
