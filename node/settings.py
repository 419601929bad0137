"""config.toml as typed, frozen values; every key is documented in config.toml itself.

Rooms receive the section that they need, never the whole. A file that cannot be run with is refused before
anything starts, one line a fault, naming the file and the key.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

import models
from models.sequence import Sequence
from node.errors import ConfigurationError
from node.toml_lines import line_of

#: The bundles of the installed package, wherever it lies.
SHIPPED = Path(models.__file__).parent / "weights"


def _ae_title(value: str) -> str:
    """AE value representation, PS3.5 6.2: 1 to 16 characters, no backslash, no control character."""
    if not value.strip() or len(value) > 16 or "\\" in value or not value.isascii() or not value.isprintable():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value.strip()


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


def _time_zone(value: str) -> str:
    try:
        if value:
            ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {value!r}; give an IANA name such as Asia/Shanghai") from error
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
Pattern = Annotated[str, AfterValidator(_pattern)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of config.toml: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PeerSettings(Section):
    """A system that may connect: its AE title and, where given, the address that it must come from."""

    ae_title: AETitle
    host: str = ""


class ListenerSettings(Section):
    """The SCP side."""

    ae_title: AETitle = "RECTALNODE"
    host: str = "127.0.0.1"
    port: Port = 11112
    require_called_ae: bool = True
    maximum_associations: int = Field(default=16, ge=1)
    maximum_pdu: int = Field(default=131072, ge=4096)
    network_timeout_s: Seconds = 60
    minimum_free_gb: float = Field(default=2.0, ge=0)


class DestinationSettings(Section):
    """A system that results are sent to, and how long the node goes on trying."""

    name: str = Field(min_length=1)
    ae_title: AETitle
    host: str
    port: Port
    calling_ae_title: AETitle = "RECTALNODE"
    maximum_attempts: int = Field(default=200, ge=1)
    first_retry_s: Seconds = 10
    longest_retry_s: Seconds = 3600
    timeout_s: Seconds = 30


class CompletionSettings(Section):
    """When a study is complete."""

    quiet_s: Seconds = 20
    incomplete_after_s: Seconds = 300
    sweep_every_s: Seconds = 2
    wanted: tuple[Sequence, ...] = (Sequence.T2WI, Sequence.DWI, Sequence.PVP)
    count_at: str = ""

    @model_validator(mode="after")
    def _order(self) -> CompletionSettings:
        if self.incomplete_after_s < self.quiet_s:
            raise ValueError("incomplete_after_s must not be shorter than quiet_s")
        return self


class SiteRule(Section):
    """What a site knows of its own protocol and the headers do not say.

    A rule applies to a series when every given condition holds. `phase_time_pattern` has one group, the seconds
    of the phase on the scanner's clock or its time of day, searched in SeriesDescription; `injection_s` is the time of
    injection on the same clock, or after the first phase; `preferred_phase_s` (after injection) breaks ties between
    phases.
    """

    name: str = Field(min_length=1)
    manufacturer: Pattern = ""
    model: Pattern = ""
    series_description: Pattern = ""
    accept_body_parts: tuple[str, ...] = ()
    phase_time_pattern: Pattern = ""
    injection_s: float | None = None
    preferred_phase_s: float | None = None

    @model_validator(mode="after")
    def _clock(self) -> SiteRule:
        if self.phase_time_pattern and re.compile(self.phase_time_pattern).groups != 1:
            raise ValueError("phase_time_pattern must have exactly one group, the seconds")
        return self


class Limits(Section):
    """A number from `min` to `max`, both included.

    `absent`: a missing value passes too, or, without limits, alone; "doubtful": it passes and lowers the confidence.
    """

    min: float | None = None
    max: float | None = None
    absent: bool | Literal["doubtful"] = False

    @model_validator(mode="after")
    def _possible(self) -> Limits:
        if self.min is None and self.max is None and not self.absent:
            raise ValueError("min, max or absent is needed")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Match(Section):
    """A text in which a regular expression is found."""

    matches: Pattern


def _form(wanted: object) -> str:
    """Which form of a wanted value stands in a rule."""
    if isinstance(wanted, dict):
        return "match" if "matches" in wanted else "limits"
    forms = {bool: "truth", int: "number", float: "number", str: "word", list: "words", tuple: "words"}
    return forms.get(type(wanted), type(wanted).__name__.lower())


_FORMS = frozenset({"limits", "match", "truth", "number", "word", "words"})
Wanted = Annotated[
    Annotated[Limits, Tag("limits")]
    | Annotated[Match, Tag("match")]
    | Annotated[bool, Tag("truth")]
    | Annotated[float, Tag("number")]
    | Annotated[str, Tag("word")]
    | Annotated[tuple[str, ...], Tag("words")],
    Discriminator(_form),
]


class RecognitionRule(Section):
    """A row of the table that names a volume, in the form of node/recognition/rules/rules.toml.

    `before` names the row in front of which a new one stands; without it a site's row stands before all shipped ones.
    `lines` holds the line of each key in the file, for messages; "" is the rule itself.
    """

    name: str = Field(min_length=1)
    finding: str
    when: dict[str, Wanted] = Field(min_length=1)
    before: str = ""
    lines: dict[str, str] = Field(default={}, exclude=True, repr=False)

    def place(self, key: tuple[str, ...]) -> str:
        """`file:line: ` of a key of this rule, of the rule where the key has none; empty for a rule without file."""
        return self.lines.get(".".join(key)) or self.lines.get("", "")


class RecognitionSettings(Section):
    """Limits that turn header facts into roles."""

    body_parts: tuple[str, ...] = ("RECTUM", "PELVIS", "ABDOMENPELVIS", "LOWER ABDOMEN", "ABDOMEN")
    b_value_range: tuple[float, float] = (600, 1200)
    portal_venous_window_s: tuple[float, float] = (60, 80)
    preferred_phase_s: float = 70
    minimum_slices: int = Field(default=8, ge=2)
    protocol_factor: float = Field(default=2.0, ge=1)
    measure_injection: bool = True
    site_rules: tuple[SiteRule, ...] = ()
    rules: tuple[RecognitionRule, ...] = ()
    words: dict[str, tuple[Pattern, ...]] = {}

    @property
    def words_of_site(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """`words` as a value that can be a key."""
        return tuple(sorted(self.words.items()))

    @model_validator(mode="after")
    def _unique_rules(self) -> RecognitionSettings:
        names = [rule.name for rule in self.rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"rules: two rules are called {twice!r}")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> RecognitionSettings:
        for name in ("b_value_range", "portal_venous_window_s"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name}: the first value must be below the second")
        return self


class ResultSettings(Section):
    """What the results show."""

    name_patient: bool = True


class AnalysisSettings(Section):
    """Which models run, and how."""

    super_resolution: Path = SHIPPED / "super-resolution"
    segmentation: Path = SHIPPED / "segmentation"
    prediction: Path = SHIPPED / "prediction"
    threads: int = Field(default=2, ge=1)
    concurrent_studies: int = Field(default=1, ge=1)
    report_refusals: bool = True
    report_foreign: bool = False

    @property
    def bundles(self) -> tuple[Path, Path, Path]:
        """The folders of the model bundles."""
        return self.super_resolution, self.segmentation, self.prediction


class Settings(Section):
    """The whole of config.toml."""

    root: Path = Path("var")
    database_url: str = ""
    uid_root: str = Field(default="1.2.826.0.1.3680043.10.1599.", pattern=r"^[0-2](\.(0|[1-9]\d*))+\.$", max_length=30)
    institution: str = ""
    time_zone: TimeZone = ""
    listener: ListenerSettings = ListenerSettings()
    peers: tuple[PeerSettings, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    completion: CompletionSettings = CompletionSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    results: ResultSettings = ResultSettings()

    @model_validator(mode="after")
    def _destination_names(self) -> Settings:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destinations: two destinations have the same name")
        if self.completion.count_at and self.completion.count_at not in names:
            raise ValueError(f"completion.count_at: no [[destinations]] has the name {self.completion.count_at!r}")
        return self

    @property
    def storage_url(self) -> str:
        """SQLAlchemy URL of index and ledger: `database_url`, else a SQLite file under `root`."""
        return self.database_url or f"sqlite:///{(self.root / 'index.sqlite').absolute()}"


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
    place = tuple(part for part in fault["loc"] if part not in _FORMS)
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
