"""What is negotiated: services, SOP classes, transfer syntaxes, limits, ciphers, and how the node names itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.sop_class import _STORAGE_CLASSES

from node.conformance.markdown import table
from node.dicom import tls
from node.dicom.contexts import TRANSFER_SYNTAXES, acceptable, is_storage
from node.dicom.conversion.convert import TARGETS
from node.dicom.conversion.errors import ConversionError
from node.dicom.conversion.pixels import decoder_of
from node.dicom.remotes import Right
from node.services.acceptor import BACKLOG, AcceptorLimits
from node.services.associations import Service
from node.services.identifier import MOST_UIDS, MOST_VALUES
from node.services.messages import LARGEST_COMMAND, LARGEST_IDENTIFIER
from node.services.offered import offered
from node.services.request import Rejection
from node.services.sub_operations import MOST
from node.settings import ListenerSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})


def accepted_services() -> str:
    """The SOP classes that the listener accepts besides storage, with what is negotiated for each."""
    rows: dict[UID, list[Service]] = {}
    for service in _services():
        for uid in sorted(service.sop_classes):
            rows.setdefault(UID(uid), []).append(service)
    return table(
        ("SOP class", "UID", "role", "right of the remote", "role selection", "SOP class extended negotiation"),
        [(uid.name, uid, *_negotiated(services)) for uid, services in sorted(rows.items())],
    )


def accepted_syntaxes(uid: str) -> tuple[UID, ...]:
    """The transfer syntaxes that the listener accepts for a SOP class, the preferred first."""
    (context,) = acceptable([uid], others=[uid])
    return tuple(context.transfer_syntax or ())


def storage_classes() -> tuple[UID, ...]:
    """The standard's storage SOP classes that are accepted, as pynetdicom's register has them."""
    return tuple(sorted({UID(uid) for uid in _STORAGE_CLASSES.values() if is_storage(uid)}, key=_in_order))


def storage_classes_as_table() -> str:
    """The same with their names."""
    return table(("SOP class", "UID"), [(uid.name, uid) for uid in storage_classes()])


def transfer_syntaxes_as_table() -> str:
    """Transfer syntaxes in the order of preference, and what can be done with what came in them."""
    rows = [(uid.name, uid, "as it came", _converted(uid)) for uid in TRANSFER_SYNTAXES]
    return table(("transfer syntax", "UID", "stored", "sent to who takes no other"), rows)


def rejections() -> str:
    """How an association is rejected before it is negotiated (PS3.8 9.3.4)."""
    return table(
        ("result", "source", "reason", "when"),
        [(*rejection.value, rejection.words) for rejection in Rejection],
    )


def limits() -> str:
    """Limits of associations and messages, with the key that changes each."""
    listener, before = ListenerSettings(), AcceptorLimits()
    rows: Sequence[tuple[str, object, str]] = (
        ("associations at once", listener.maximum_associations, "`maximum_associations`"),
        ("of these from one address", listener.maximum_associations_per_remote, "`maximum_associations_per_remote`"),
        ("connections without association", before.connections, ""),
        ("connections that the operating system holds before", BACKLOG, ""),
        ("from connection to the whole association request", f"{before.request_s:g} s", ""),
        ("association request", f"{before.request_bytes:,} bytes", ""),
        ("protocol data unit that is received", f"{listener.maximum_pdu:,} bytes", "`maximum_pdu`"),
        ("silence, and one protocol data unit", f"{listener.network_timeout_s:g} s", "`network_timeout_s`"),
        ("slowest object", f"{listener.slowest_kb_s:g} kB/s", "`slowest_kb_s`"),
        ("largest object", f"{listener.largest_object_gb:g} GB", "`largest_object_gb`"),
        ("free disk below which objects are refused", f"{listener.minimum_free_gb:g} GB", "`minimum_free_gb`"),
        ("command set", f"{LARGEST_COMMAND:,} bytes", ""),
        ("identifier, or data set of a commitment", f"{LARGEST_IDENTIFIER:,} bytes", ""),
        ("answers of one query", f"{listener.most_matches:,}", "`most_matches`"),
        ("UIDs of one key", f"{MOST_UIDS:,}", ""),
        ("values of one other key", f"{MOST_VALUES:,}", ""),
        ("sub-operations of one retrieval", f"{MOST:,}", ""),
    )
    return table(("limit", "default", "key of `[listener]`"), rows)


def cipher_suites() -> str:
    """The suites of TLS 1.2; those of 1.3 are OpenSSL's."""
    return ", ".join(f"`{suite}`" for suite in tls.SUITES.split(":") if not suite.startswith("@"))


def facts() -> dict[str, str]:
    """What stands in sentences."""
    listener, caller = ListenerSettings(), AE()
    return {
        "ae_title": listener.ae_title,
        "host": listener.host,
        "port": str(listener.port),
        "implementation_class_uid": str(caller.implementation_class_uid),
        "implementation_version_name": str(caller.implementation_version_name),
        "own_maximum_pdu": f"{caller.maximum_pdu_size:,}",
        "number_of_storage_classes": str(len(storage_classes())),
        "targets": " or ".join(uid.name for uid in TARGETS),
        "rights": ", ".join(f"`{right}`" for right in Right),
    }


def _services() -> tuple[Service, ...]:
    """Those of a listener on an empty root."""
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/index.sqlite")
        try:
            return offered(ListenerSettings(), (), ObjectStore(Path(folder)), Index(engine), "")
        finally:
            engine.dispose()


def _negotiated(services: Sequence[Service]) -> Iterator[str]:
    yield "SCP, SCU" if any(it.in_either_role for it in services) else "SCP"
    yield " or ".join(f"`{it.right}`" for it in services if it.right) or "none"
    if any(it.in_either_role for it in services):
        yield "either role of this class"
    else:
        yield "of storage classes" if any(it.sends_objects for it in services) else "none"
    yield "yes" if any(it.extended for it in services) else "none"


def _converted(uid: UID) -> str:
    if uid in _NATIVE:
        return "converted"
    try:
        decoder_of(uid)
    except ConversionError:
        return "no: it stays as it is"
    return "decoded, where the pixels are what the attributes say"


def _in_order(uid: str) -> tuple[int, ...]:
    return tuple(map(int, uid.split(".")))
