"""Remotes: the other DICOM applications, who they are, what they may do here, and what they get.

`[[peers]]` (who may store) and `[[destinations]]` (who gets results) are the form of earlier releases; they are read
into remotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from node.settings.destinations import USUAL_RESULTS, Conditions, Hours, ResultKind
from node.settings.values import URL, AETitle, AETitleOrNone, Credentials, File, Fingerprint, Port, Seconds, Section

SHORTEST_TOKEN = 16
"""Bytes of a token; a shorter one is nobody's."""


class RemoteSettings(Section):
    """Another DICOM application.

    Attributes:
        name: what status, log and `completion.count_at` call it; a delivery belongs to the remote of that name.
        ae_title: its AE title, as it calls and as it is called; empty where it speaks DICOMweb alone.
        host: its address or host name; where it is given, the remote must call from there. Empty: from anywhere.
        port: where it listens; 0 where nobody calls it.
        url: of its DICOMweb service: results are sent there by STOW-RS, and not to host and port.
        token_file: holds the token that it must present when it calls by DICOMweb, and gets when it is called.
        authorities: certificates of those who sign for `url`, where no certificate of this node is shown there (`tls`);
            empty: those that this machine knows.
        may_store: it may store objects here, by C-STORE and STOW-RS. Whatever its rights, it may ask by C-ECHO whether
            the node answers.
        may_query: it may ask by C-FIND and QIDO-RS what is here.
        may_retrieve: it may ask by C-MOVE, C-GET and WADO-RS for objects.
        may_commit: it may ask for storage commitment.
        receives_results: results are sent to it.
        return_to_sender: results of the studies that it has sent itself are sent to it, whoever else gets them.
        results: kinds of objects that it gets.
        when: studies whose results it gets.
        delivery_hours: when results are sent to it, in the time zone of the site; empty: at any time.
        calling_ae_title: what the node calls itself there.
        associations: over which results are sent to it at the same time; of a DICOMweb service, connections.
        maximum_attempts: of one object; then it waits for a person.
        first_retry_s: wait after the first failure, in s; it doubles with each …
        longest_retry_s: … up to this, in s.
        timeout_s: for connecting to it and for each answer, in s.
        tls: it calls, and is called, by TLS alone, never without.
        certificate_sha256: fingerprints of its certificate, old and new while it is renewed; what binds it to it.
        certificate_name: where there are none, the DNS name or address that its certificate is for; empty: `host`.
        credentials: what this node shows to it, and believes of it, where that is not of `[tls]`.
        username: it must present this user name as caller, and this node does so when it calls; empty: nobody does.
        passcode_file: holds the passcode that goes with it.
        rejection_notes: it is told of results that were taken back, by a note that rejects them (IHE IOCM).
        commitment: it is asked to commit what it has stored (PS3.4 Annex J).
        commitment_after_s: how long after the storing, in s.
        commitment_wait_s: for its report, in s, before it is asked again; it doubles each time, up to a day.
        commitment_attempts: how often it is asked for one object, and how often one is sent again that it has not.
    """

    name: str = Field(min_length=1, max_length=64)
    ae_title: AETitleOrNone = ""
    host: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    url: URL = ""
    token_file: File = None
    authorities: File = None
    may_store: bool = False
    may_query: bool = False
    may_retrieve: bool = False
    may_commit: bool = False
    receives_results: bool = False
    return_to_sender: bool = False
    results: tuple[ResultKind, ...] = USUAL_RESULTS
    when: Conditions = Conditions()
    delivery_hours: Hours = ""
    calling_ae_title: AETitle = "RECTALNODE"
    associations: int = Field(default=1, ge=1, le=16)
    maximum_attempts: int = Field(default=200, ge=1)
    first_retry_s: Seconds = 10
    longest_retry_s: Seconds = 3600
    timeout_s: Seconds = 30
    tls: bool = False
    certificate_sha256: tuple[Fingerprint, ...] = ()
    certificate_name: str = ""
    credentials: Credentials | None = None
    username: str = Field(default="", max_length=256)
    passcode_file: File = None
    rejection_notes: bool = False
    commitment: bool = False
    commitment_after_s: Seconds = 10
    commitment_wait_s: Seconds = 3600
    commitment_attempts: int = Field(default=5, ge=1, le=100)

    @property
    def can_be_called(self) -> bool:
        """Whether it is known where it listens."""
        return bool(self.host and self.port)

    @property
    def can_be_asked(self) -> bool:
        """Whether it can be asked if it is there."""
        return bool(self.url) or self.can_be_called

    @property
    def is_known_by_title_alone(self) -> bool:
        """Whether anybody who calls himself so gets its rights by DICOM: neither address nor certificate nor user."""
        some = self.may_store or self.may_query or self.may_retrieve or self.may_commit
        return bool(self.ae_title and some) and not (self.host or self.tls or self.username)

    @property
    def title(self) -> str:
        """What objects that it stores name as who sent them: its AE title, without one the beginning of its name."""
        return self.ae_title or self.name[:16]

    @property
    def certified_name(self) -> str:
        """What its certificate is for, where no fingerprint says which it is."""
        return self.certificate_name or self.host or urlsplit(self.url).hostname or ""

    def retry_delay_s(self, failures: int) -> float:
        """Seconds to wait after so many earlier failures: doubles from the first to the longest delay."""
        return float(min(self.longest_retry_s, self.first_retry_s * 2.0 ** min(failures, 64)))

    @property
    def is_destination(self) -> bool:
        """Whether results are sent to it, be it of some studies."""
        return self.receives_results or self.return_to_sender

    @model_validator(mode="after")
    def _has_an_address(self) -> RemoteSettings:
        if not (self.ae_title or self.url or self.token_file):
            raise ValueError("ae_title is needed; of one that speaks DICOMweb alone, url or token_file")
        if self.url and self.port:
            raise ValueError("url: results are sent there and not to host and port; make two remotes of it")
        if self.is_destination and not self.can_be_asked:
            key = "receives_results" if self.receives_results else "return_to_sender"
            raise ValueError(f"{key}: host and port, or url, are needed to send them")
        if set(self.results) == {ResultKind.KEY_OBJECTS}:
            raise ValueError("results: key-objects names the other objects that it gets, and there is no other kind")
        if self.rejection_notes and not self.is_destination:
            raise ValueError("rejection_notes: they reject results, of which it receives none (receives_results)")
        if self.commitment and not self.is_destination:
            raise ValueError("commitment: it is asked to commit results, and receives none (receives_results)")
        if self.commitment and self.url:
            raise ValueError("commitment: it is a service of DICOM, which url does not speak")
        return self

    @model_validator(mode="after")
    def _can_be_proven(self) -> RemoteSettings:
        over_https = self.url.startswith("https:")
        if self.tls and self.url and not over_https:
            raise ValueError("tls: url begins with http: and not with https:")
        if self.tls and not (self.certificate_sha256 or self.certified_name):
            raise ValueError("tls: certificate_sha256, certificate_name or host is needed: whose certificate it is")
        if not (self.tls or over_https) and (self.certificate_sha256 or self.certificate_name):
            raise ValueError("tls = true is needed: without it no certificate is looked at")
        if self.passcode_file and not self.username:
            raise ValueError("passcode_file: username is needed")
        return self

    def within(self, folder: Path, credentials: Credentials | None) -> RemoteSettings:
        """With relative paths taken from a folder, and with the node's credentials where it has TLS and none of its
        own."""
        own = self.credentials.within(folder) if self.credentials else credentials if self.tls else None
        files = {name: getattr(self, name) for name in ("passcode_file", "token_file", "authorities")}
        found = {name: folder / file if file else None for name, file in files.items()}
        return self.model_copy(update={"credentials": own, **found})


class _Peer(Section):
    ae_title: AETitle
    host: str = ""

    def remote(self, number: int) -> RemoteSettings:
        return RemoteSettings(name=f"peer {number}", ae_title=self.ae_title, host=self.host, may_store=True)

    @property
    def hint(self) -> str:
        host = f', host = "{self.host}"' if self.host else ""
        keys = f'name = "{self.ae_title}", ae_title = "{self.ae_title}"{host}, may_store = true'
        return f"[[peers]] is of an earlier release and still read; write [[remotes]] with {keys}"


class _Destination(Section):
    name: str = Field(min_length=1, max_length=64)
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port
    calling_ae_title: AETitle = "RECTALNODE"
    maximum_attempts: int = Field(default=200, ge=1)
    first_retry_s: Seconds = 10
    longest_retry_s: Seconds = 3600
    timeout_s: Seconds = 30

    @property
    def remote(self) -> RemoteSettings:
        return RemoteSettings(**self.model_dump(), receives_results=True)

    @property
    def hint(self) -> str:
        keys = f'the same keys of "{self.name}" and receives_results = true'
        return f"[[destinations]] is of an earlier release and still read; write [[remotes]] with {keys}"


class FormerTables(Section):
    """The tables of earlier releases."""

    peers: tuple[_Peer, ...] = ()
    destinations: tuple[_Destination, ...] = ()

    @property
    def remotes(self) -> tuple[RemoteSettings, ...]:
        """Their entries as remotes."""
        peers = (peer.remote(number) for number, peer in enumerate(self.peers, 1))
        return (*peers, *(destination.remote for destination in self.destinations))

    def hints(self) -> Iterator[tuple[tuple[str, int], str]]:
        """The place of each entry in the file, and words that say what to write instead."""
        for table in ("peers", "destinations"):
            for number, entry in enumerate(getattr(self, table)):
                yield (table, number), entry.hint
