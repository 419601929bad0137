"""Where the DICOMweb service is, as who calls it has to write it."""

from __future__ import annotations

from starlette.requests import Request

PREFIX = "/dicom-web"
"""Path of the service; Orthanc's, so that viewers need no other configuration."""


def service_address(request: Request, public_url: str) -> str:
    """Address of the service: what the settings say, else as it was called."""
    return public_url or f"{request.url.scheme}://{request.url.netloc}{PREFIX}"
