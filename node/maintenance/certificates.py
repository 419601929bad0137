"""Certificates that end soon are alerts, until new ones lie in their place."""

from __future__ import annotations

from collections.abc import Iterable

from node.clock import Clock, utc_now
from node.codes import Alert
from node.dicom.certificates import expiry_warning
from node.settings import Credentials
from storage.alerts import Alerts


def look(credentials: Iterable[Credentials], alerts: Alerts, clock: Clock = utc_now) -> None:
    """Raise an alert for each certificate that has expired or soon will; end those of renewed ones."""
    for each in credentials:
        subject = str(each.certificate)
        if warning := expiry_warning(each, clock()):
            alerts.raise_(Alert.CERTIFICATE_EXPIRES, subject, warning)
        else:
            alerts.clear(Alert.CERTIFICATE_EXPIRES, subject)
