"""How the node starts: what a listener loads, how soon it listens, and that it does not wait for the models."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.dicom.scu import echo
from node.settings import SHIPPED

from ..parts import engines, processor

HEAVY = ("torch", "SimpleITK", "monai", "highdicom", "openvino")
STORES_ONE_AND_TELLS_WHAT_IS_LOADED = """
import sys
from pathlib import Path
import node.cli.main
from node.dicom.scu import store
from node.service import Service, ServiceRole
from node.settings import load_settings
settings = load_settings(Path(sys.argv[1]))
service = Service(settings, frozenset({ServiceRole.LISTENER}))
service.start()
(outcome,) = store([Path(sys.argv[2])], "127.0.0.1", settings.listener.port, "RECTALNODE", "SCANNER", 10)
service.stop()
print(outcome.result, *(name for name in sys.argv[3:] if name in sys.modules))
"""
STARTS_THE_ANALYSIS_AND_TELLS_WHAT_IS_LOADED = """
import sys
from pathlib import Path
import node.cli.main
from node.service import Service, ServiceRole
from node.settings import load_settings
service = Service(load_settings(Path(sys.argv[1])), frozenset({ServiceRole.ANALYSIS}))
service.start()
service.stop()
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""
STARTS_WHERE_THE_PORT_IS_TAKEN = """
import sys
from pathlib import Path
import node.cli.main
from node.errors import NodeError
from node.service import Service, ServiceRole
from node.settings import load_settings
try:
    Service(load_settings(Path(sys.argv[1])), frozenset(map(ServiceRole, sys.argv[2:]))).start()
except NodeError:
    print("sqlalchemy.orm" in sys.modules)
"""
#: What only the making of networks needs, and the laboratory.
NOT_OF_THE_ANALYSIS = ("monai", "lightning", "sklearn")


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path, port: int) -> Path:
    """A configuration with a free port; its root has the networks that the session has converted."""
    path = tmp_path / "node.toml"
    engines.share(tmp_path / "var")
    path.write_text(f"[listener]\nport = {port}\nminimum_free_gb = 0\n")
    return path


@pytest.fixture
def serve(config: Path, port: int) -> Iterator[Callable[..., float]]:
    """Start `rectal-node serve` in place of the one before; gives the seconds until its port takes connections."""
    running: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        while running:
            running[-1].kill()
            running.pop().wait()

    def start(*options: str) -> float:
        end()
        begun = time.perf_counter()
        command = [sys.executable, "-m", "node", "serve", "--config", str(config), *options]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        while time.perf_counter() < begun + 120:
            assert running[-1].poll() is None
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return time.perf_counter() - begun
            time.sleep(0.01)
        raise AssertionError("nobody listens")

    yield start
    end()


def test_a_listener_that_stores_has_loaded_nothing_of_the_analysis(config, written_by):
    image = written_by("Siemens Skyra").paths[0]
    call = [sys.executable, "-c", STORES_ONE_AND_TELLS_WHAT_IS_LOADED, str(config), str(image), *HEAVY]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sent"]


def test_the_analysis_has_loaded_nothing_of_what_networks_are_made_with(config):
    """Its networks are converted at this start, the first of its root."""
    (config.parent / "var" / "engines").unlink()
    config.write_text(f'{config.read_text()}[analysis]\nprecision = "float32"\n')
    call = [sys.executable, "-c", STARTS_THE_ANALYSIS_AND_TELLS_WHAT_IS_LOADED, str(config), *NOT_OF_THE_ANALYSIS]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert len(list((config.parent / "var" / "engines").glob("*.zip"))) == 1


@pytest.mark.parametrize(("roles", "is_loaded"), [(["listener"], "False"), (["listener", "analysis"], "True")])
def test_what_statements_look_into_is_whole_before_the_first_role_starts(config, port, roles, is_loaded):
    """The queue of the analysis imports it; a delivery that made statements meanwhile failed."""
    with socket.create_server(("127.0.0.1", port)):
        call = [sys.executable, "-c", STARTS_WHERE_THE_PORT_IS_TAKEN, str(config), *roles]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [is_loaded]


def test_a_listener_listens_within_three_times_the_imports_of_its_libraries(serve, capsys):
    for _ in range(3):  # one of three: other processes share the cores
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import pynetdicom, sqlalchemy, pydantic"], check=True)
        bare = time.perf_counter() - begun
        listening = serve("--role", "listener")
        if listening < 3 * bare:
            break
    with capsys.disabled():
        print(f"\nlistens after {listening:.2f} s, {listening / bare:.2f} x the bare imports")
    assert listening < 3 * bare


def test_the_whole_node_listens_while_its_models_are_not_loaded_yet(serve, config, port):
    """The worker takes its lock when the models are there."""
    serve()
    assert not list(config.parent.rglob("worker.lock"))
    assert echo("127.0.0.1", port, "RECTALNODE", "SCANNER", 10) == ""


def run(command: str, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "node", command, "--config", str(config), *options]
    return subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("order", ["check-config", "serve"])
def test_a_broken_bundle_is_found_and_the_node_does_not_go_on_without_it(order, command, config):
    """One weight is another than the manifest says."""
    broken = shutil.copytree(SHIPPED / "segmentation", config.parent / "broken")
    weights = next(broken.glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    config.write_text(f'{config.read_text()}[analysis]\nsegmentation = "broken"\n')
    done = run(order, config) if order == "serve" else command(order, "--config", str(config))
    assert done.returncode == 1
    assert "bundle broken: weights.safetensors has SHA-256" in done.stderr


def test_check_config_names_engine_precision_and_threads_of_each_network(command, config):
    config.write_text(f'{config.read_text()}[analysis]\nengine = "torch"\nprecision = "float32"\nthreads = 1\n')
    lines = command("check-config", "--config", str(config)).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines if line.endswith(", torch float32 on 1 threads")] == [
        "super-resolution",
        "segmentation",
    ]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the variable limits x86 instructions")
def test_a_precision_that_the_processor_lacks_is_refused_by_name(config, monkeypatch):
    """OpenVINO leaves newer instructions unused where this variable says so."""
    monkeypatch.setenv("OV_CPU_MAX_ISA", "AVX2")
    config.write_text(f'{config.read_text()}[analysis]\nprecision = "bfloat16"\n')
    done = run("check-config", config)
    assert done.returncode == 1
    assert "would run in bfloat16, which this processor does not compute" in done.stderr
    assert 'set precision = "float32"' in done.stderr


def test_check_config_and_the_log_name_what_is_written_in_a_former_form(command, config, port):
    """The port is taken, so that the node ends after it has read its configuration."""
    analysis = f"[analysis]\n{processor.in_configuration()}\n"
    config.write_text(f'{config.read_text()}[[peers]]\nae_title = "SKYRA1"\n{analysis}')
    hint = f"{config}:4: [[peers]] is of an earlier release and still read; write [[remotes]] with name"
    checked = command("check-config", "--config", str(config))
    assert checked.returncode == 0
    assert hint in checked.stdout
    with socket.create_server(("127.0.0.1", port)):
        served = run("serve", config, "--role", "listener")
    assert served.returncode == 1
    assert hint in served.stderr
