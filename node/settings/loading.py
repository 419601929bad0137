"""Reading config.toml: one line a fault, naming the file, the line and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from node.errors import ConfigurationError
from node.settings.recognition import FORMS, RecognitionRule
from node.settings.sections import Settings
from node.settings.toml_lines import line_of


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file.

    Relative paths in it are taken from the folder of the file.

    Raises:
        ConfigurationError: the file cannot be read or a key is unknown, of the wrong type or impossible.
    """
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_fault(path, text, fault) for fault in error.errors())) from error
    return _resolved(_with_lines(settings, path, text), path.absolute().parent)


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
    analysis = settings.analysis
    bundles = {name: folder / getattr(analysis, name) for name in ("super_resolution", "segmentation", "prediction")}
    return settings.model_copy(update={"root": folder / settings.root, "analysis": analysis.model_copy(update=bundles)})
