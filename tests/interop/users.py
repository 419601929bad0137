"""pynetdicom as the one who asks the node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE, Association, _config, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification

from node.dicom.transport import send_at_once

from ..parts.node import Node

# Files go as they lie on the disk.
_config.STORE_SEND_CHUNKED_DATASET = True


@contextmanager
def asking(
    node: Node,
    contexts: Sequence[PresentationContext] = (),
    handlers: Sequence[tuple[object, object]] = (),
    roles: Sequence[object] = (),
) -> Iterator[Association]:
    """An association with the node; without `contexts` for verification."""
    association = AE("PYNETDICOM").associate(
        "127.0.0.1",
        node.port,
        contexts=list(contexts) or [build_context(Verification)],
        ae_title=node.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once), *handlers],
        ext_neg=list(roles),
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()
