"""Reading config.toml: one line a fault, naming the file, the line and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from node.errors import ConfigurationError
from node.settings.recognition import FORMS, RecognitionRule, RecognitionSettings
from node.settings.remotes import FormerTables
from node.settings.sections import Settings
from node.settings.toml_lines import line_of
from node.settings.values import Section

_FORMER = frozenset(FormerTables.model_fields)
_T = TypeVar("_T", bound=Section)
_NAMED = 20
"""Faults of one file that are told."""


class _Recognition(Section):
    """What a text states of recognition alone."""

    recognition: RecognitionSettings = RecognitionSettings()


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file.

    Relative paths in it are taken from the folder of the file.

    Raises:
        ConfigurationError: the file cannot be read or a key is unknown, of the wrong type or impossible.
    """
    text, document = _read(path)
    former = _validated(path, text, FormerTables, {key: document.pop(key) for key in _FORMER & document.keys()})
    if former.remotes:
        document["remotes"] = [*document.get("remotes", ()), *former.remotes]
    settings = _validated(path, text, Settings, document)
    return _resolved(_with_lines(settings, path, text), path.absolute().parent)


def recognition_in(text: str, base: RecognitionSettings) -> RecognitionSettings:
    """`base` with the keys of recognition that a text in the form of config.toml states; its rules know no lines.

    Raises:
        ConfigurationError: the text is no TOML, states something else, or a key that is impossible; names the line.
    """
    where = Path("text")
    said = _validated(where, text, _Recognition, _parsed(where, text)).recognition
    return base.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def former_keys(path: Path) -> tuple[str, ...]:
    """Entries of a loadable file in the form of an earlier release, each with what to write instead, a line each."""
    text, document = _read(path)
    former = FormerTables.model_validate({key: document[key] for key in _FORMER & document.keys()})
    return tuple(f"{path}:{line_of(text, place)}: {hint}" for place, hint in former.hints())


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    return text, _parsed(path, text)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error


def _validated(path: Path, text: str, form: type[_T], document: object) -> _T:
    try:
        return form.model_validate(document)
    except ValidationError as error:
        named = error.errors()[:_NAMED]  # to find a line takes as long as reading the text once a line
        raise ConfigurationError("\n".join(_fault(path, text, fault) for fault in named)) from error


def _fault(path: Path, text: str, fault: object) -> str:
    assert isinstance(fault, dict)
    place = tuple(part for part in fault["loc"] if part not in FORMS)
    key = ".".join(str(part) for part in place) or "(file)"
    message = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"].removeprefix("Value error, ")
    return f"{path}:{line_of(text, place)}: {key}: {message}" if place else f"{path}: {key}: {message}"


def _with_lines(settings: Settings, path: Path, text: str) -> Settings:
    """The settings whose rules know their lines."""

    def place(*parts: str | int) -> str:
        return f"{path}:{line_of(text, ('recognition', 'rules', *parts))}: "

    def with_lines(number: int, rule: RecognitionRule) -> RecognitionRule:
        keys: list[tuple[str, ...]] = [("finding",), ("before",), ("when",), *(("when", fact) for fact in rule.when)]
        lines = {"": place(number), **{".".join(key): place(number, *key) for key in keys}}
        return rule.model_copy(update={"lines": lines})

    recognition = settings.recognition
    rules = tuple(with_lines(number, rule) for number, rule in enumerate(recognition.rules))
    return settings.model_copy(update={"recognition": recognition.model_copy(update={"rules": rules})})


def _resolved(settings: Settings, folder: Path) -> Settings:
    analysis, listener = settings.analysis, settings.listener
    bundles = {name: folder / getattr(analysis, name) for name in ("super_resolution", "segmentation", "prediction")}
    keys = tuple(folder / key for key in analysis.trusted_keys)
    tls = settings.tls.within(folder) if settings.tls else None
    of_listener = listener.credentials.within(folder) if listener.credentials else tls
    web = settings.web
    of_web = web.credentials.within(folder) if web.credentials else tls
    return settings.model_copy(
        update={
            "root": folder / settings.root,
            "tls": tls,
            "listener": listener.model_copy(update={"credentials": of_listener}),
            "web": web.model_copy(
                update={"credentials": of_web, "oidc": web.oidc.within(folder) if web.oidc else None}
            ),
            "remotes": tuple(remote.within(folder, tls) for remote in settings.remotes),
            "analysis": analysis.model_copy(update={**bundles, "trusted_keys": keys}),
            "alerts": settings.alerts.within(folder),
            "audit": settings.audit.within(folder, tls),
        }
    )
