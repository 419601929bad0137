"""The DICOM Conformance Statement says what the code does, and a listener does what the statement says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE, Association, build_context, build_role
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, SOPClassExtendedNegotiation
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRoot
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet

from node.conformance import network, query, statuses
from node.dicom.contexts import TRANSFER_SYNTAXES
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.catalogue.attributes import COUNTED, READ, UNIQUE_KEYS, Level
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

ROOT = Path(__file__).parents[3]
STATEMENT = ROOT / "docs" / "conformance.md"
EVERY_RIGHT = RemoteSettings(
    name="all", ae_title="ALL", may_store=True, may_query=True, may_retrieve=True, may_commit=True
)
#: Modules that answer requests.
ANSWERING = ("node.dicom.command", "node.services.*", "node.dicom.settlement", "node.dicom.commitment")


def test_the_statement_is_the_one_that_the_command_writes() -> None:
    """In a process of its own: tests may make SOP classes known to pynetdicom."""
    command = [sys.executable, "-m", "tests.node.conformance.example"]
    written = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    assert STATEMENT.read_text("utf-8") == written.decode()


def refused_with(module: str) -> Iterator[int]:
    """The statuses that a module refuses with."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if called and node.func.id in ("Refusal", "_failure") and node.args and isinstance(node.args[0], ast.Name):
            value = getattr(import_module(module), node.args[0].id, None)
            if isinstance(value, int):
                yield value


def test_every_status_that_is_answered_stands_in_it() -> None:
    modules = [
        f"{pattern.removesuffix('.*')}.{path.stem}" if pattern.endswith("*") else pattern
        for pattern in ANSWERING
        for path in (sorted((ROOT / "node" / "services").glob("*.py")) if pattern.endswith("*") else [ROOT])
    ]
    answered = {status for module in modules if not module.endswith("__init__") for status in refused_with(module)}
    assert len(answered) > 12
    assert answered <= {status for rows in statuses.ALL for status, _ in rows}


@pytest.mark.parametrize("level", Level)
def test_every_key_of_the_catalogue_stands_at_its_level(level: Level) -> None:
    table = query.keys_as_table(level)
    tags = re.findall(r"\| \((\w{4}),(\w{4})\) \|", table)
    assert len(tags) == len({*READ[level], *COUNTED[level]})
    assert [line for line in table.splitlines() if "| U |" in line] == [
        line for line in table.splitlines() if f"{query.tag_of(UNIQUE_KEYS[level])}" in line
    ]
    assert set(query.REQUIRED[level]) <= set(READ[level])


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    root = tmp_path_factory.mktemp("node")
    index = Index(open_engine(f"sqlite:///{root / 'index.sqlite'}"))
    settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
    running = Listener(settings, (EVERY_RIGHT,), ObjectStore(root), index)
    running.start()
    yield running
    running.stop(patience_s=0.5)


def associated(listener: Listener, contexts: dict[str, list[str]], *negotiated: object) -> Association:
    caller = AE(ae_title="ALL")
    for uid, syntaxes in contexts.items():
        caller.add_requested_context(uid, syntaxes)
    association = caller.associate("127.0.0.1", listener.port, ae_title="RECTALNODE", ext_neg=list(negotiated))
    assert association.is_established
    association.release()
    return association


def test_each_service_of_the_table_is_accepted_by_a_listener(listener: Listener) -> None:
    services = re.findall(r"\| ([\d.]+) \| SCP", network.accepted_services())
    assert len(services) == 11
    association = associated(listener, {uid: list(TRANSFER_SYNTAXES) for uid in services})
    assert {context.abstract_syntax for context in association.accepted_contexts} == set(services)


def test_each_transfer_syntax_of_the_table_is_accepted_for_images(listener: Listener) -> None:
    syntaxes = re.findall(r"\| ([\d.]+) \| as it came", network.transfer_syntaxes_as_table())
    assert len(syntaxes) == len(TRANSFER_SYNTAXES)
    contexts = [build_context(MRImageStorage, syntax) for syntax in syntaxes]
    association = AE(ae_title="ALL").associate("127.0.0.1", listener.port, contexts=contexts, ae_title="RECTALNODE")
    association.release()
    assert [str(context.transfer_syntax[0]) for context in association.accepted_contexts] == syntaxes


def test_of_several_transfer_syntaxes_the_first_of_the_table_is_taken(listener: Listener) -> None:
    association = associated(listener, {MRImageStorage: list(reversed(TRANSFER_SYNTAXES))})
    (context,) = association.accepted_contexts
    assert context.transfer_syntax == [TRANSFER_SYNTAXES[0]]


def test_what_is_negotiated_is_what_it_says(listener: Listener) -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = StudyRoot, bytes([1] * 6)
    of_storage = SOPClassExtendedNegotiation()
    of_storage.sop_class_uid, of_storage.service_class_application_information = MRImageStorage, bytes([2, 0, 0])
    role = build_role(MRImageStorage, scp_role=True)
    contexts = {uid: ["1.2.840.10008.1.2.1"] for uid in (StudyRoot, StudyRootGet, MRImageStorage)}
    answer = associated(listener, contexts, window, extended, of_storage, role).acceptor
    assert answer.asynchronous_operations == (1, 1)
    assert dict(answer.sop_class_extended) == {StudyRoot: bytes(query.SUPPORTED)}
    assert answer.role_selection[MRImageStorage].scp_role
    facts = network.facts()
    assert answer.implementation_class_uid == facts["implementation_class_uid"]
    assert answer.implementation_version_name == facts["implementation_version_name"]
    assert answer.maximum_length == ListenerSettings().maximum_pdu
