"""DICOMweb as a role of the node: a process that serves it, and what the others load."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import pytest

from ...parts.node import Node
from ...parts.processes import ENVIRONMENT, free_ports, wait_for

LISTENER_LOADS = """
import sys
from pathlib import Path
import node.cli.main
from node.service import Service, ServiceRole
from node.settings import load_settings
service = Service(load_settings(Path(sys.argv[1])), frozenset({ServiceRole.LISTENER}))
service.start()
service.stop()
print(*(name for name in ("fastapi", "uvicorn", "starlette", "node.web") if name in sys.modules))
"""


@pytest.fixture
def node(tmp_path):
    dicom, web = free_ports(2)
    found = Node(tmp_path, dicom)
    found.config.write_text(
        f"[listener]\nport = {dicom}\nminimum_free_gb = 0\n"
        f'[web]\nenabled = true\nport = {web}\nlocal_rights = ["may_query"]\n'
    )
    yield found, f"http://127.0.0.1:{web}/dicom-web/studies"
    found.stop()


def test_a_node_serves_dicomweb_beside_its_listener_and_stops_in_order(node):
    process, url = node
    process.start("listener", "web")
    wait_for(lambda: "DICOMweb on http://127.0.0.1:" in process.log.read_text(), "DICOMweb is there", 60)
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.status == 204
    process.process.terminate()
    assert process.process.wait(30) == 0
    assert "Traceback" not in process.log.read_text()


def test_a_listener_loads_nothing_of_it(node):
    process, _ = node
    call = [sys.executable, "-c", LISTENER_LOADS, str(process.config)]
    done = subprocess.run(call, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=True)
    assert done.stdout.split() == []


def test_the_role_alone_is_refused_where_it_is_not_enabled(node):
    process, _ = node
    process.config.write_text(process.config.read_text().replace("enabled = true", "enabled = false"))
    call = [sys.executable, "-m", "node", "serve", "--config", str(process.config), "--role", "web"]
    done = subprocess.run(call, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode == 1
    assert "web.enabled is false" in done.stderr
