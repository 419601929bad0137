"""Remotes: the other DICOM applications, who they are, what they may do here, and what they get.

`[[peers]]` (who may store) and `[[destinations]]` (who gets results) are the form of earlier releases; they are read
into remotes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, model_validator

from node.settings.values import AETitle, Port, Seconds, Section


class RemoteSettings(Section):
    """Another DICOM application.

    Attributes:
        name: what status, log and `completion.count_at` call it; a delivery belongs to the remote of that name.
        ae_title: its AE title, as it calls and as it is called.
        host: its address or host name; where it is given, the remote must call from there. Empty: from anywhere.
        port: where it listens; 0 where nobody calls it.
        may_store: it may store objects here. Whatever its rights, it may ask by C-ECHO whether the node answers.
        may_query: it may ask by C-FIND what is here.
        may_retrieve: it may ask by C-MOVE and C-GET for objects.
        may_commit: it may ask for storage commitment.
        receives_results: results are sent to it.
        calling_ae_title: what the node calls itself there.
        associations: over which results are sent to it at the same time.
        maximum_attempts: of one object; then it waits for a person.
        first_retry_s: wait after the first failure, in s; it doubles with each …
        longest_retry_s: … up to this, in s.
        timeout_s: for connecting to it and for each answer, in s.
    """

    name: str = Field(min_length=1, max_length=64)
    ae_title: AETitle
    host: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    may_store: bool = False
    may_query: bool = False
    may_retrieve: bool = False
    may_commit: bool = False
    receives_results: bool = False
    calling_ae_title: AETitle = "RECTALNODE"
    associations: int = Field(default=1, ge=1, le=16)
    maximum_attempts: int = Field(default=200, ge=1)
    first_retry_s: Seconds = 10
    longest_retry_s: Seconds = 3600
    timeout_s: Seconds = 30

    @property
    def can_be_called(self) -> bool:
        """Whether it is known where it listens."""
        return bool(self.host and self.port)

    @model_validator(mode="after")
    def _has_an_address(self) -> RemoteSettings:
        if self.receives_results and not self.can_be_called:
            raise ValueError("receives_results: host and port are needed to send them")
        return self


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
