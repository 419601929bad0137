"""The configuration and the model bundles that it names, checked as they are at the start of the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.analysis.bundles import Models
from node.clock import utc_now
from node.dicom.certificates import expiry_warning
from node.dicom.tls import CredentialsError, server_context
from node.errors import ConfigurationError
from node.recognition.rules.table import check as check_rules
from node.settings import AlertSettings, Credentials, RemoteSettings, Settings, former_keys, load_settings
from node.settings.remotes import SHORTEST_TOKEN
from storage.privacy import openness


@dataclass(frozen=True, slots=True)
class BundleIdentity:
    """A model bundle that the node could run with.

    `digest` is that of its manifest; `execution`: engine and precision of its network, empty where it has none.
    """

    kind: str
    name: str
    version: str
    digest: str
    execution: str = ""


@dataclass(frozen=True, slots=True)
class CheckedConfiguration:
    """A configuration that the node can run with; `hints` and `warnings` are for the administrator."""

    path: Path
    ae_title: str
    port: int
    listens_on: str
    threads: int
    bundles: tuple[BundleIdentity, ...]
    hints: tuple[str, ...]
    warnings: tuple[str, ...]


def check(path: Path) -> CheckedConfiguration:
    """Read a configuration and load what it names.

    Raises:
        ConfigurationError: it cannot be run with.
        BundleError: a bundle is missing, changed or does not fit.
        EngineError: the processor lacks the precision that a network is to run in.
    """
    settings = load_settings(path)
    check_rules(settings.recognition)
    security = _security(settings)
    models = Models(settings.analysis)
    models.check()
    executions = models.executions()
    bundles = tuple(
        BundleIdentity(str(kind), identity.name, identity.version, identity.digest, str(executions.get(kind, "")))
        for kind, identity in models.identities().items()
    )
    warnings = (openness(settings.root), *security, *_channels(settings.alerts))
    return CheckedConfiguration(
        path=path,
        ae_title=settings.listener.ae_title,
        port=settings.listener.port,
        listens_on=settings.listener.ports_in_words,
        threads=settings.analysis.threads,
        bundles=bundles,
        hints=tuple(former_keys(path)),
        warnings=tuple(filter(None, warnings)),
    )


def _security(settings: Settings) -> list[str]:
    """Warnings of what protects associations.

    Raises:
        ConfigurationError: a file with certificates, a key or a passcode cannot be used.
    """
    warnings = [warning for each in settings.credentials for warning in (_checked(each), _openness(each.key))]
    web = settings.web
    if web.enabled and not web.is_local and not web.tls:
        warnings.append(f"web: without tls what callers on {web.host} present and get can be read on its way")
    for remote in settings.remotes:
        for key in ("passcode_file", "token_file", "authorities"):
            file: Path | None = getattr(remote, key)
            if file and not file.is_file():
                raise ConfigurationError(f"remotes: {remote.name}: {key}: {file} is no file")
            if file and key != "authorities":
                warnings.append(_openness(file))
        warnings += _of_the_web(remote)
        if remote.is_known_by_title_alone and not settings.listener.is_local:
            warnings.append(
                f"remote {remote.name}: whoever calls himself {remote.ae_title} has its rights: give it a host"
            )
        if remote.passcode_file and not remote.tls:
            warnings.append(f"remote {remote.name}: without TLS its passcode can be read on its way")
    return warnings


def _channels(alerts: AlertSettings) -> Iterator[str]:
    """What is wrong with the files of the channels of alerts.

    Raises:
        ConfigurationError: a file is not there, or holds no address.
    """
    for file in (*alerts.secrets, *alerts.authorities):
        if not file.is_file():
            raise ConfigurationError(f"alerts: {file} is no file")
    try:
        address = alerts.webhook.address() if alerts.webhook else ""
    except ValueError as error:
        raise ConfigurationError(f"alerts.webhook: url_file: {error}") from error
    yield from map(_openness, alerts.secrets)
    if alerts.webhook and address.startswith("http:") and alerts.webhook.token():
        yield "alerts.webhook: without https its token can be read on its way"


def _of_the_web(remote: RemoteSettings) -> Iterator[str]:
    """What is wrong with the token of a remote, and with how it goes there.

    Raises:
        ConfigurationError: the token is too short to be one.
    """
    if remote.token_file and len(remote.token_file.read_bytes().strip()) < SHORTEST_TOKEN:
        what = f"{remote.token_file} has less than {SHORTEST_TOKEN} bytes: `openssl rand -hex 32` makes one"
        raise ConfigurationError(f"remotes: {remote.name}: token_file: {what}")
    if remote.url.startswith("http:"):
        yield f"remote {remote.name}: without https results and token can be read on their way"


def _openness(secret: Path) -> str:
    """That others than its owner can read a file; empty where they cannot."""
    return f"{secret} can be read by others than its owner: chmod 600" if secret.stat().st_mode & 0o077 else ""


def _checked(credentials: Credentials) -> str:
    try:
        server_context(credentials)
    except CredentialsError as error:
        raise ConfigurationError(f"tls: {error.strerror}") from error
    return expiry_warning(credentials, utc_now())
