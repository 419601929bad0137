"""Free disk below the watermark is an alert, before the listener refuses what comes."""

from __future__ import annotations

from node.codes import Alert
from storage.alerts import Alerts
from storage.files import ObjectStore

_GIGABYTE = 1e9
#: The alert ends where so much more is free, so that it does not come and go with each object.
_AMPLE = 1.1


def look(files: ObjectStore, watermark_gb: float, refuses_gb: float, alerts: Alerts) -> None:
    """Raise the alert, or end it.

    Args:
        files: on the disk in question.
        watermark_gb: below it the alert is raised, in GB.
        refuses_gb: below it the listener refuses objects, in GB.
        alerts: of this node.
    """
    free, subject = files.free_bytes() / _GIGABYTE, str(files.root)
    if free < watermark_gb:
        text = f"{free:.1f} GB are free; below {refuses_gb:g} GB objects are refused with A700"
        alerts.raise_(Alert.DISK_LOW, subject, text)
    elif free >= watermark_gb * _AMPLE:
        alerts.clear(Alert.DISK_LOW, subject)
