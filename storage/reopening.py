"""Objects that change the plan of a study: they hold one that is received, and open the next revision of another.

MR images do, of the classes that recognition can use, and rejection notes. All else belongs to its study and is
counted, but makes no revision: presentation states, documents, segmentations, images of other modalities.
"""

from __future__ import annotations

from storage.records import InstanceHeader

#: MR Image Storage, Enhanced MR Image Storage, Legacy Converted Enhanced MR Image Storage.
MR_IMAGES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.4.4",
    }
)


def changes_plan(header: InstanceHeader) -> bool:
    """Whether an object can change the plan of its study; a rejection note does by what it refers to."""
    return header.sop_class_uid in MR_IMAGES
