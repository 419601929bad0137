"""The associations of one process: negotiated by rights, served, counted, and ended.

Objects that they bring are taken in by `StorageSCP`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.events import Event, EventType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification

from node.audit.recorder import Recorder
from node.clock import utc_now
from node.dicom.command import C_ECHO_RQ, SUCCESS, Command, Refusal
from node.dicom.contexts import acceptable, is_storage
from node.dicom.pdu_reader import TimeLimits
from node.dicom.proof import Caller, Doubt, doubt
from node.dicom.remotes import Right, entries_of, rights_of
from node.dicom.transport import send_even_fragments
from node.dicom.user_identity import positive_response
from node.logs import Sparing, title
from node.services.acceptor import ReceivedRequest
from node.services.association import AcceptedAssociation
from node.services.brought import Brought, received
from node.services.leases import Leases, Sender
from node.services.store import Arrival, Reception, StorageSCP
from node.settings import ListenerSettings, RemoteSettings
from storage.audit import AuditAction, AuditEvent, Facts
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)

_REJECTED_PERMANENT, _SERVICE_USER = 0x01, 0x01
_CALLING_AE_UNKNOWN, _CALLED_AE_UNKNOWN = 0x03, 0x07
_COUNTED_BY_THE_ACCEPTOR = 1_000_000
_POLL_S = 0.02
_PARTING_S = 1.0  # for the A-ABORT to be sent
_KILOBYTE = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A service of an accepted association, run by pynetdicom's service class or by the node itself.

    Attributes:
        command_field: of its requests.
        event: of pynetdicom, to which the handler is bound; None where the handler serves the request itself.
        handler: of the event, or an `Operation`.
        sop_classes: that are accepted for it.
        sends_objects: on the same association, where the other side asks for the role to take them (PS3.7 D.3.3.4).
        in_either_role: the other side may also ask for the role of the SCP of its SOP classes (PS3.7 D.3.3.4).
        right: without which a remote gets none of its contexts; None: it is free.
        extended: answers the application information of a SOP Class Extended Negotiation (PS3.7 D.3.3.5); None: the
            service has none.
    """

    command_field: int
    event: EventType | None
    handler: Callable[..., Any]
    sop_classes: frozenset[str] = frozenset()
    sends_objects: bool = False
    in_either_role: bool = False
    right: Right | None = None
    extended: Callable[[bytes], bytes] | None = None


ECHO = Service(C_ECHO_RQ, evt.EVT_C_ECHO, lambda _event: SUCCESS, frozenset({str(Verification)}))


class Associations:
    """The associations of one process, each in a thread of its own."""

    def __init__(
        self,
        settings: ListenerSettings,
        remotes: Sequence[RemoteSettings],
        store: ObjectStore,
        index: Index,
        lease_s: float,
        services: Sequence[Service] = (ECHO,),
        recorder: Recorder | None = None,
    ) -> None:
        """`recorder` takes who was refused and what was received; None: one of its own."""
        self._recorder = recorder or Recorder(index.engine)
        self._engine, self._files = index.engine, store
        self._settings = settings
        self._services = tuple(services)
        self._limits = TimeLimits(settings.network_timeout_s, settings.slowest_kb_s * _KILOBYTE)
        self._remotes = tuple(remotes)
        self._leases = Leases(index, lease_s)
        self._storage = StorageSCP(
            store, index, self._leases, settings.minimum_free_gb, settings.largest_object_gb, self._received
        )
        self._ae = AE(ae_title=settings.ae_title)
        self._ae.maximum_associations = _COUNTED_BY_THE_ACCEPTOR
        self._ae.maximum_pdu_size = settings.maximum_pdu
        self._sparing = Sparing(log)
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()  # associations are counted in threads of their own

    @property
    def open(self) -> int:
        """How many are open now."""
        return len(self._ae.active_associations)

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: associations accepted and rejected, objects by how they ended."""
        with self._counting:
            return {**self._counts, **self._storage.counts}

    def start(self) -> None:
        """Begin to renew leases."""
        self._leases.start()

    def stop(self, patience_s: float) -> None:
        """Wait for the open ones, then abort those that remain.

        Returns when no object is in the middle of being stored: what was not acknowledged, the sender repeats.
        """
        if remaining := self._wait_for_ends(patience_s):
            log.warning("stopping: %d associations aborted", len(remaining))
            for association in remaining:
                association.abort_now()
            for association in self._wait_for_ends(_PARTING_S):
                association.disconnect()
            self._wait_for_ends(_PARTING_S)
        self._storage.wait_until_idle()
        self._leases.stop()

    def begin(self, request: ReceivedRequest) -> None:
        """Negotiate an association, and serve it, in a thread of its own.

        Raises:
            RuntimeError: no thread can be started.
        """
        association = AcceptedAssociation(
            self._ae,
            request,
            self._limits,
            self._begin,
            self._refused,
            {service.command_field: service.sop_classes for service in self._services},
            {service.command_field: service.handler for service in self._services if service.event is None},
            self._ended,
        )
        for event, handler in (
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_ACCEPTED, send_even_fragments),
            (evt.EVT_SOP_EXTENDED, self._extend),
            (evt.EVT_ASYNC_OPS, _one_at_a_time),
            (evt.EVT_ACSE_SENT, self._count_accepted),
            *((service.event, service.handler) for service in self._services if service.event is not None),
        ):
            association.bind(event, handler)
        association.start()

    def _wait_for_ends(self, patience_s: float) -> list[AcceptedAssociation]:
        """The associations that are still open when it is over."""
        deadline = time.monotonic() + patience_s
        while (found := self._ae.active_associations) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found

    def _ended(self, association: AcceptedAssociation) -> None:
        try:
            self._leases.end(association)
        finally:
            self._received(association, self._storage.brought_by(association))
        if not association.faults:
            return
        address, first, more = association.requestor.address, association.faults[0], len(association.faults) - 1
        and_more = f", and {more} more after it" if more else ""
        self._sparing.write(logging.WARNING, first, address, "association from %s: %s%s", address, first, and_more)
        self._refused_on_record(association, first)

    def _received(self, sender: Sender, brought: dict[str, Brought]) -> None:
        self._recorder.add(*received(sender, "C-STORE", brought, self._engine, self._files))

    def _admit(self, event: Event) -> None:
        """Reject who may not connect; else choose the contexts among those asked for."""
        association = event.assoc
        request = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = association.requestor.address
        who = f"AE {title(calling)} from {address}"
        caller = Caller(association.certificate, association.requestor.user_identity)
        known = entries_of(self._remotes, calling, address)
        doubts = {it.name: found for it in known if (found := doubt(it, caller)) is not None}
        proven = [it for it in known if it.name not in doubts]
        rights = rights_of(self._remotes, calling, address, proven)
        if doubts and not proven:
            self._doubted(event, who, next(iter(doubts.values())))
        elif rights is None or (caller.certificate is not None and not known):
            self._reject(event, _CALLING_AE_UNKNOWN, f"calling {who} is not a known remote")
        elif self._settings.require_called_ae and called != self._settings.ae_title:
            self._reject(event, _CALLED_AE_UNKNOWN, f"{who} called for {title(called)}")
        else:
            self._confirm_identity(association, proven)
            association.remotes = tuple(proven)
            self._offer(association, rights, who)

    def _doubted(self, event: Event, who: str, found: Doubt) -> None:
        self._reject(event, found.diagnostic, f"{who}: {found.why}", found.source, f"association rejected: {found.why}")

    def _confirm_identity(self, association: AcceptedAssociation, proven: Sequence[RemoteSettings]) -> None:
        """Answer a user identity that was checked, where an answer is asked for (PS3.7 D.3.3.7.2)."""
        presented = association.requestor.user_identity
        if presented and presented.positive_response_requested and any(it.username for it in proven):
            association.acceptor.add_negotiation_item(positive_response())

    def _offer(self, association: AcceptedAssociation, rights: frozenset[Right], who: str) -> None:
        """Choose the contexts among those asked for, and say which rights are missing."""
        proposed = association.requestor.primitive.presentation_context_definition_list
        syntaxes = [str(context.abstract_syntax) for context in proposed]
        granted = [service for service in self._services if service.right is None or service.right in rights]
        stores, sends = Right.STORE in rights, any(service.sends_objects for service in granted)
        taken = _taken(association) if sends else frozenset()
        others = {uid for service in granted for uid in service.sop_classes}
        either = {uid for service in granted if service.in_either_role for uid in service.sop_classes}
        contexts = acceptable(syntaxes, stores, others, taken)
        for context in contexts:
            if sends and is_storage(context.abstract_syntax):
                context.scu_role, context.scp_role = stores, str(context.abstract_syntax) in taken
            elif context.abstract_syntax in either:
                context.scu_role = context.scp_role = True
        association.acceptor.supported_contexts = contexts
        refused = set(syntaxes).difference(others)
        missing = {service.right for service in self._services if not service.sop_classes.isdisjoint(refused)}
        if any(is_storage(syntax) for syntax in syntaxes if syntax not in taken):
            missing.add(Right.STORE)
        for right in sorted(filter(None, missing - rights)):
            what = f"remote without the right {right} asked for its service"
            self._sparing.write(logging.WARNING, what, association.requestor.address, "%s: %s", what, who)
            self._refused_on_record(association, what)

    def _extend(self, event: Event) -> dict[str, bytes]:
        """The answers to SOP Class Extended Negotiation, of classes that are accepted."""
        accepted = {str(context.abstract_syntax) for context in event.assoc.acceptor.supported_contexts}
        answers = {uid: service.extended for service in self._services for uid in service.sop_classes & accepted}
        asked = {str(uid): information for uid, information in event.app_info.items()}
        return {uid: answer(asked[uid]) for uid, answer in answers.items() if answer is not None and uid in asked}

    def _reject(self, event: Event, diagnostic: int, why: str, source: int = _SERVICE_USER, kind: str = "") -> None:
        self._count("rejected")
        kind, address = kind or f"association rejected for reason {diagnostic}", event.assoc.requestor.address
        self._sparing.write(logging.WARNING, kind, address, "association rejected: %s", why)
        self._refused_on_record(event.assoc, why)
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, source, diagnostic)
        event.assoc.kill()

    def _count_accepted(self, event: Event) -> None:
        """Just before it is sent: who reads the answer finds it counted."""
        if isinstance(event.primitive, A_ASSOCIATE) and event.primitive.result == 0:
            self._count("accepted")

    def _count(self, what: str) -> None:
        with self._counting:
            self._counts[what] += 1

    # --- objects

    def _begin(
        self, association: AcceptedAssociation, command: Command, context_id: int, refusal: Refusal | None
    ) -> Reception:
        """What takes the data set of a C-STORE."""
        syntax = association.transfer_syntax_of(context_id)
        return self._storage.begin(Arrival(association, command, syntax, refusal))

    def _refused(self, association: AcceptedAssociation, refusal: Refusal) -> None:
        """A request that brings no object is refused for its command."""
        kind, address = "request refused", association.requestor.address
        self._sparing.write(logging.WARNING, kind, address, "%s from %s: %s", kind, address, refusal.reason)
        self._refused_on_record(association, refusal.reason)

    def _refused_on_record(self, association: AcceptedAssociation, why: str) -> None:
        asked = association.requestor.primitive
        called = asked.called_ae_title.strip() if asked is not None else ""
        facts = Facts(service="association", called=called)
        who = asked.calling_ae_title.strip() if asked is not None else ""
        event = AuditEvent(
            utc_now(), AuditAction.REFUSED, False, address=association.address, detail=why, remote=who, facts=facts
        )
        self._recorder.add_recurring(event)


def _one_at_a_time(_event: Event) -> None:
    """pynetdicom answers an asynchronous operations window with (1, 1) where a handler is there (PS3.7 D.3.3.3).

    Objects are taken as they come, however many are on their way; each is answered before the next is looked at.
    """


def _taken(association: AcceptedAssociation) -> frozenset[str]:
    """SOP classes of which the other side asks for the role to take objects (PS3.7 D.3.3.4)."""
    return frozenset(str(uid) for uid, roles in association.requestor.role_selection.items() if roles.scp_role)
