"""The head of a stored file, compared with pynetdicom's."""

from __future__ import annotations

import pytest
from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from node.services import part10


@pytest.mark.parametrize("instance", ["1.2.3.4", "1.2.3.45", "1." + "2" * 62])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90"])
def test_the_head_is_that_which_pynetdicom_writes(instance, syntax):
    sop_class = "1.2.840.10008.5.1.4.1.1.4"
    meta = create_file_meta(sop_class_uid=UID(sop_class), sop_instance_uid=UID(instance), transfer_syntax=UID(syntax))
    assert part10.head(sop_class, instance, syntax) == bytes(128) + b"DICM" + encode_file_meta(meta)
