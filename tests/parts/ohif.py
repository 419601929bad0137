"""The viewer OHIF of npm, as `make ohif` unpacks it, served on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .node import ROOT

UNPACKED = ROOT / "runs" / "ohif"
CONFIGURATION = ROOT / "docs" / "ohif" / "app-config.js"


class _Handler(SimpleHTTPRequestHandler):
    """Files of the package; every address that is none is a page of the one application."""

    def __init__(self, node: str, *rest: Any, **named: Any) -> None:
        self._node = node
        super().__init__(*rest, **named)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/app-config.js":
            body = CONFIGURATION.read_text().replace('"NODE/', f'"{self._node}/').encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if not Path(self.translate_path(path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing of what goes well."""


@contextmanager
def running_ohif(port: int, node: str) -> Iterator[str]:
    """The viewer on a port, on the DICOMweb of the node at an address; its own address."""
    if not (UNPACKED / "index.html").is_file():
        pytest.skip("OHIF is not unpacked: `make ohif` does it where the npm registry can be reached")
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, node, directory=str(UNPACKED)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()
