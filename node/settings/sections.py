"""The sections of config.toml and the whole of it; every key is documented in config.toml itself."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

import models
from models.engines.execution import Engine, Precision
from models.sequence import Sequence
from node.settings.alerts import AlertSettings
from node.settings.audit import AuditSettings
from node.settings.known_answer import KnownAnswerSettings
from node.settings.maintenance import MaintenanceSettings
from node.settings.recognition import RecognitionSettings
from node.settings.remotes import RemoteSettings
from node.settings.retention import RetentionSettings
from node.settings.retrieval import Method, RetrievalSettings
from node.settings.values import AETitle, Credentials, Port, Seconds, Section, TimeZone, is_loopback_name
from node.settings.web import WebSettings
from storage.known_answer import AE_TITLE, DESTINATION

#: The bundles of the installed package, wherever it lies.
SHIPPED = Path(models.__file__).parent / "weights"


class ListenerSettings(Section):
    """The SCP side."""

    ae_title: AETitle = "RECTALNODE"
    host: str = "127.0.0.1"
    port: Port = 11112
    plain: bool = True
    tls_port: Port | None = None
    credentials: Credentials | None = None
    require_called_ae: bool = True
    processes: int = Field(default=1, ge=1, le=64)
    maximum_associations: int = Field(default=32, ge=1)
    maximum_associations_per_remote: int = Field(default=16, ge=1)
    maximum_pdu: int = Field(default=131072, ge=4096)
    network_timeout_s: Seconds = 60
    slowest_kb_s: float = Field(default=20, gt=0)
    largest_object_gb: float = Field(default=8, gt=0)
    minimum_free_gb: float = Field(default=2.0, ge=0)
    most_matches: int = Field(default=20_000, ge=1)

    @property
    def is_local(self) -> bool:
        """Whether it listens on the loopback interface alone."""
        return is_loopback_name(self.host)

    @property
    def ports(self) -> tuple[int, ...]:
        """All that it listens on."""
        plain = (self.port,) if self.plain else ()
        return plain if self.tls_port is None else (*plain, self.tls_port)

    @property
    def ports_in_words(self) -> str:
        """The ports, and which of them is by TLS."""
        return " and ".join(f"{port} by TLS" if port == self.tls_port else str(port) for port in self.ports)


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


class ResultSettings(Section):
    """Contents of the results."""

    name_patient: bool = True


class AnalysisSettings(Section):
    """Which models run, and how."""

    super_resolution: Path = SHIPPED / "super-resolution"
    segmentation: Path = SHIPPED / "segmentation"
    prediction: Path = SHIPPED / "prediction"
    engine: Engine | None = None
    precision: Precision | None = None
    threads: int = Field(default=2, ge=1)
    concurrent_studies: int = Field(default=1, ge=1)
    trusted_keys: tuple[Path, ...] = ()
    report_refusals: bool = True
    report_foreign: bool = False

    @property
    def bundles(self) -> tuple[Path, Path, Path]:
        """The folders of the model bundles."""
        return self.super_resolution, self.segmentation, self.prediction

    def keys_for(self, bundle: Path) -> tuple[Path, ...]:
        """The keys by one of which a bundle has to be signed; none for those that came with the node itself."""
        return () if bundle.resolve().parent == SHIPPED.resolve() else self.trusted_keys


class Settings(Section):
    """The whole of config.toml."""

    root: Path = Path("var")
    database_url: str = ""
    uid_root: str = Field(default="1.2.826.0.1.3680043.10.1599.", pattern=r"^[0-2](\.(0|[1-9]\d*))+\.$", max_length=30)
    institution: str = ""
    time_zone: TimeZone = ""
    tls: Credentials | None = None
    listener: ListenerSettings = ListenerSettings()
    web: WebSettings = WebSettings()
    remotes: tuple[RemoteSettings, ...] = ()
    retrieval: tuple[RetrievalSettings, ...] = ()
    completion: CompletionSettings = CompletionSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    results: ResultSettings = ResultSettings()
    alerts: AlertSettings = AlertSettings()
    audit: AuditSettings = AuditSettings()
    known_answer: KnownAnswerSettings = KnownAnswerSettings()
    retention: RetentionSettings = RetentionSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()

    @model_validator(mode="after")
    def _remote_names(self) -> Settings:
        names = [remote.name for remote in self.remotes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"remotes: two remotes are called {twice!r}")
        if DESTINATION in names or any(remote.ae_title == AE_TITLE for remote in self.remotes):
            raise ValueError(f"remotes: {DESTINATION!r} and {AE_TITLE!r} are names of the known-answer check")
        asked = self.completion.count_at
        if asked and self.counts_at is None:
            raise ValueError(f"completion.count_at: no [[remotes]] with host and port has the name {asked!r}")
        return self

    @model_validator(mode="after")
    def _encryption(self) -> Settings:
        listener, syslog = self.listener, self.audit.syslog
        if listener.tls_port is None and not listener.plain:
            raise ValueError("listener: without plain, tls_port is needed: the node would listen nowhere")
        if listener.tls_port is not None and listener.plain and listener.tls_port == listener.port:
            raise ValueError("listener: port and tls_port must be two")
        if listener.tls_port is not None and not any(remote.tls for remote in self.remotes):
            raise ValueError("listener.tls_port: no [[remotes]] has tls = true: nobody could call it")
        for place, wanted, own in (
            ("listener.tls_port", listener.tls_port is not None, listener.credentials),
            ("web.tls", self.web.tls, self.web.credentials),
            ("audit.syslog", syslog is not None and syslog.transport == "tls", syslog and syslog.credentials),
            *((f"remotes: {it.name}: tls", it.tls, it.credentials) for it in self.remotes),
        ):
            if wanted and not (own or self.tls):
                raise ValueError(f"{place}: [tls] with certificate, key and authorities is needed")
        return self

    @model_validator(mode="after")
    def _retrievals(self) -> Settings:
        names = [each.name for each in self.retrieval]
        if len(set(names)) < len(names):
            raise ValueError("retrieval: two entries have the same name")
        for each in self.retrieval:
            try:
                self.source(each.remote, each.method)
            except ValueError as error:
                raise ValueError(f"retrieval {each.name!r}: {error}") from None
        return self

    def source(self, name: str, method: Method) -> RemoteSettings:
        """The remote of a name, from which studies can be fetched by a method.

        Raises:
            ValueError: there is none, it cannot be called, or what it sends here would be refused.
        """
        remote = next((each for each in self.remotes if each.name == name and each.can_be_called), None)
        if remote is None:
            raise ValueError(f"no [[remotes]] with host and port has the name {name!r}")
        if method is Method.MOVE and not remote.may_store and any(each.may_store for each in self.remotes):
            raise ValueError(f"{name!r} needs may_store = true: objects of a C-MOVE are stored here by it")
        return remote

    @model_validator(mode="after")
    def _space(self) -> Settings:
        refuses = self.listener.minimum_free_gb
        for rule in self.retention.rules:
            if 0 < rule.free_below_gb <= refuses:
                raise ValueError(
                    f"retention rule {rule.name!r}: free_below_gb must be more than listener.minimum_free_gb "
                    f"({refuses:g}): below that nothing is received any more"
                )
        return self

    @property
    def alert_free_gb(self) -> float:
        """Below so much free disk an alert is raised, in GB: before the listener refuses what comes."""
        return self.retention.alert_free_gb or 2 * self.listener.minimum_free_gb

    @model_validator(mode="after")
    def _web_callers(self) -> Settings:
        web = self.web
        known = any(remote.token_file or (remote.tls and web.tls) for remote in self.remotes)
        if web.enabled and web.page and not web.is_local and not web.tls:
            raise ValueError("web.page: on another address than loopback it needs web.tls: passwords could be read")
        if web.enabled and not web.is_local and not known and not web.page:
            raise ValueError("web.host: nobody could call: give [[remotes]] a token_file, or tls with web.tls")
        return self

    @property
    def destinations(self) -> tuple[RemoteSettings, ...]:
        """The remotes that results are sent to."""
        return tuple(remote for remote in self.remotes if remote.is_destination)

    @property
    def credentials(self) -> tuple[Credentials, ...]:
        """Those in use, each once: of the ports with TLS, and of who is called by TLS."""
        listening = self.listener.credentials if self.listener.tls_port is not None else None
        web = self.web.credentials if self.web.enabled and self.web.tls else None
        called = (remote for remote in self.remotes if remote.tls and remote.can_be_asked)
        collector = self.audit.syslog.credentials if self.audit.syslog else None
        used = [listening, web, collector, *(remote.credentials for remote in called)]
        return tuple(dict.fromkeys(each for each in used if each is not None))

    @property
    def counts_at(self) -> RemoteSettings | None:
        """The remote that is asked for its counts, where one is."""
        named = (remote for remote in self.remotes if remote.name == self.completion.count_at)
        return next((remote for remote in named if remote.can_be_called), None)

    @property
    def engines_folder(self) -> Path:
        """Networks as an engine converted them; they are made anew when they are not there."""
        return self.root / "engines"

    @property
    def audit_folder(self) -> Path:
        """The files of the audit."""
        return self.audit.folder or self.root / "audit"

    @property
    def storage_url(self) -> str:
        """SQLAlchemy URL of index and ledger: `database_url`, else a SQLite file under `root`."""
        return self.database_url or f"sqlite:///{(self.root / 'index.sqlite').absolute()}"
