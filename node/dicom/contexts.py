"""Presentation contexts: what the listener accepts and what the sender proposes.

The listener offers for each association only what that association asks for. So the standard's storage SOP
classes, retired ones and private ones are treated alike, and negotiation copies a handful of contexts, not all.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from pydicom import config
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MPEGTransferSyntaxes,
    RLELossless,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import Verification, register_uid, uid_to_service_class

from node.dicom.compression import COMPRESSIONS
from node.errors import PermanentError

MAXIMUM_CONTEXTS = 128  # PS3.8 9.3.2.2: odd identifiers from 1 to 255
HTJ2K_LOSSY = UID("1.2.840.10008.1.2.4.203")
JPEG2000_MULTI_COMPONENT = (UID("1.2.840.10008.1.2.4.92"), UID("1.2.840.10008.1.2.4.93"))

TRANSFER_SYNTAXES: tuple[UID, ...] = tuple(
    dict.fromkeys(  # pydicom's groups overlap
        (
            ExplicitVRLittleEndian,
            ImplicitVRLittleEndian,
            *JPEGTransferSyntaxes,
            *JPEGLSTransferSyntaxes,
            *JPEG2000TransferSyntaxes,
            *JPEG2000_MULTI_COMPONENT,
            RLELossless,
            HTJ2KLossless,
            HTJ2KLosslessRPCL,
            HTJ2K_LOSSY,
            DeflatedExplicitVRLittleEndian,
            *MPEGTransferSyntaxes,
            ExplicitVRBigEndian,
        )
    )
)
"""Transfer syntaxes that the listener accepts, the preferred first: of several, an uncompressed one is taken."""

#: Transfer syntaxes in which values lie as they are.
_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
#: Those that archives use most come first.
_COMPRESSED = tuple(
    dict.fromkeys(
        (
            *(
                JPEG2000Lossless,
                JPEGLosslessSV1,
                JPEGLSLossless,
                RLELossless,
                JPEGBaseline8Bit,
                JPEG2000,
                JPEGExtended12Bit,
            ),
            *(syntax for syntax in TRANSFER_SYNTAXES if syntax not in _NATIVE),
        )
    )
)

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."
#: Private SOP classes that are known to store nothing: by DCMTK's, `termscu` asks a server to end.
_PRIVATE_SERVICES = frozenset({"1.2.276.0.7230010.3.4.1915765545.18030.917282194.0"})
_MAXIMUM_FOREIGN = 1000  # SOP classes that pynetdicom does not know, a process
_foreign: set[str] = set()
# Associations negotiate in threads of their own, and the count and the register of pynetdicom are shared.
_foreign_lock = threading.Lock()


def acceptable(
    proposed: Iterable[str], store: bool = True, others: Collection[str] = (), taken: Collection[str] = ()
) -> list[PresentationContext]:
    """Contexts that the listener supports among these abstract syntaxes: verification, `others`, with `store` any
    storage, else that of classes whose objects are `taken` by the other side."""
    uids = [_as_it_is(uid) for uid in dict.fromkeys(proposed)]
    supported = [uid for uid in uids if uid in others or _accepts(uid, store or uid in taken)]
    return [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in supported]


def is_storage(sop_class: str) -> bool:
    """Whether a SOP class stores composite objects: the standard's classes, retired ones, and private ones."""
    uid = _as_it_is(sop_class)
    if not uid.is_valid or uid in _PRIVATE_SERVICES:
        return False
    service = uid_to_service_class(uid)
    if service is not ServiceClass:
        return service is StorageServiceClass
    if not uid.startswith(_STANDARD_ROOT):
        return True
    return uid.startswith(_STORAGE_ROOT) or "Storage" in uid.name


def proposals(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """One context for each (SOP class, transfer syntax), so that each is accepted or refused by itself.

    Raises:
        PermanentError: more than one association can propose.
    """
    unique = list(dict.fromkeys(pairs))
    if len(unique) > MAXIMUM_CONTEXTS:
        raise PermanentError(f"{len(unique)} presentation contexts: an association has {MAXIMUM_CONTEXTS}")
    return [build_context(sop_class, transfer_syntax) for sop_class, transfer_syntax in unique]


def takeable(sop_classes: Collection[str], room: int) -> list[PresentationContext]:
    """Contexts in which objects of these classes can be taken as they lie there; at most `room`.

    The other side accepts one transfer syntax a context, an uncompressed one where it can choose, and not every archive
    can decompress. So of each class uncompressed ones and each compressed one have a context of their own, as far as
    there is room; what does not fit shares one.
    """
    classes = list(dict.fromkeys(sop_classes))[:room]
    each = room // len(classes) if classes else 0
    alone = _COMPRESSED[: max(each - 2, 0)]
    rest = [syntax for syntax in _COMPRESSED if syntax not in alone]
    groups = [list(_NATIVE), *([syntax] for syntax in alone), rest] if each > 1 else [list(TRANSFER_SYNTAXES)]
    return [build_context(uid, group) for uid in classes for group in groups if group]


def transfer_syntaxes_as_markdown() -> str:
    """The table of transfer syntaxes: all are received and kept as they come, and sent on where they are taken."""
    lines = ["| transfer syntax | UID | images analysed | decoded by | loss |", "| --- | --- | --- | --- | --- |"]
    for uid in sorted(TRANSFER_SYNTAXES, key=lambda each: [int(part) for part in each.split(".")]):
        known = COMPRESSIONS.get(uid)
        analysed = "yes" if known or uid in _NATIVE else "no"
        packages = ", ".join(("pydicom", *known.packages)) if known else ""
        lines.append(f"| {uid.name} | `{uid}` | {analysed} | {packages} | {known.loss.value if known else ''} |")
    return "\n".join((*lines, ""))


def _as_it_is(uid: str) -> UID:
    return UID(uid, validation_mode=config.IGNORE)


def _accepts(uid: UID, store: bool) -> bool:
    if uid == Verification:
        return True
    if not store or not is_storage(uid):
        return False
    return uid_to_service_class(uid) is StorageServiceClass or _register(uid)


def _register(uid: UID) -> bool:
    """Tell pynetdicom that a SOP class it does not know is one of the storage service, else it would abort."""
    with _foreign_lock:
        if uid not in _foreign:
            if len(_foreign) >= _MAXIMUM_FOREIGN:
                return False
            register_uid(uid, f"ForeignStorage_{uid.replace('.', '_')}", StorageServiceClass)
            _foreign.add(uid)
    return True


if __name__ == "__main__":
    print(transfer_syntaxes_as_markdown(), end="")
