"""Where the DICOMweb service is, as who calls it has to write it."""

from __future__ import annotations

from starlette.requests import Request

from node.callers import is_proxied

PREFIX = "/dicom-web"
"""Path of the service; Orthanc's, so that viewers need no other configuration."""


_PORTS = {"http": 80, "https": 443}


def service_address(request: Request, public_url: str) -> str:
    """Address of the service: what the settings say, else as it was called.

    dicomweb-client leaves the port out of the Host header: without a proxy in between it is that of this server.
    """
    if public_url:
        return public_url
    called, port = request.url, int(request.scope["server"][1])
    netloc = called.netloc
    if called.port is None and port != _PORTS[called.scheme] and not is_proxied(request):
        netloc = f"{netloc}:{port}"
    return f"{called.scheme}://{netloc}{PREFIX}"
