"""The statement: what is said in prose (`statement.txt`), with the tables in their places."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from string import Template

from pynetdicom.sop_class import Verification

from node.conformance import deidentification, network, objects, query, statuses, terms, web
from node.conformance.examples import Example
from node.results.identity import ENCODER_VERSION, PRODUCT
from node.settings import Settings
from storage.catalogue.attributes import Level

_PROSE = Path(__file__).with_name("statement.txt")


def statement(examples: Sequence[Example]) -> str:
    """The whole statement; `examples` has results of every kind."""
    return Template(_PROSE.read_text("utf-8")).substitute(
        version=metadata.version(PRODUCT),
        product=PRODUCT,
        uid_root=Settings.model_fields["uid_root"].default,
        encoder_version=ENCODER_VERSION,
        resources=web.resources(),
        returned=web.returned(),
        **web.facts(),
        **network.facts(),
        **deidentification.facts(),
        **_of_network(),
        **_of_query(),
        **_of_statuses(),
        **_of_results(examples),
    )


def _of_network() -> dict[str, str]:
    return {
        "accepted_services": network.accepted_services(),
        "number_of_syntaxes": str(len(network.accepted_syntaxes(Verification))),
        "transfer_syntaxes": network.transfer_syntaxes_as_table(),
        "storage_classes": network.storage_classes_as_table(),
        "rejections": network.rejections(),
        "limits": network.limits(),
        "cipher_suites": network.cipher_suites(),
    }


def _of_query() -> dict[str, str]:
    keys = {f"keys_{level.lower()}": query.keys_as_table(level) for level in Level}
    return {**keys, "extended_negotiation": query.extended_negotiation()}


def _of_statuses() -> dict[str, str]:
    return {
        "statuses_verification": statuses.statuses_as_table(statuses.VERIFICATION),
        "statuses_storage": statuses.statuses_as_table(statuses.STORAGE),
        "statuses_query": statuses.statuses_as_table(statuses.QUERY),
        "statuses_retrieve": statuses.statuses_as_table(statuses.RETRIEVE),
        "statuses_commitment": statuses.statuses_as_table(statuses.COMMITMENT),
        "failure_reasons": statuses.statuses_as_table(statuses.FAILURE_REASONS, "Failure Reason"),
        "statuses_storage_scu": statuses.of_storage_as_scu(),
        "statuses_stow": statuses.of_stow_as_user_agent(),
    }


def _of_results(examples: Sequence[Example]) -> dict[str, str]:
    return {
        "created_instances": objects.created_instances(examples),
        "attributes": objects.attributes_of_each(examples),
        "content_tree": terms.content_tree(examples),
        "schemes": terms.schemes(examples),
        "codes": terms.codes_as_table(examples),
        "private_codes": terms.private_codes(examples),
        "private_attributes": objects.private_attributes(examples),
    }
