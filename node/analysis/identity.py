"""Digests that the UIDs of results derive from, beside bundles and version of the encoder: instances and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from models.engines.execution import Execution
from node.analysis.study import Study
from node.recognition.record import StudyPlan
from node.results.identity import Site
from node.settings import Settings

#: The keys of [recognition] that can change a result, all that there were in November 2026. They are listed, so that a
#: new key does not change the UIDs of results that it does not change; one that does is added here.
_RECOGNITION: dict[str, Any] = {
    **dict.fromkeys(("body_parts", "b_value_range", "portal_venous_window_s", "preferred_phase_s"), True),
    **dict.fromkeys(("minimum_slices", "protocol_factor", "measure_injection", "words"), True),
    "site_rules": {
        "__all__": {
            *("name", "manufacturer", "model", "series_description", "accept_body_parts"),
            *("phase_time_pattern", "injection_s", "preferred_phase_s"),
        }
    },
    "rules": {"__all__": {"name", "finding", "when", "before"}},
}


def input_digest(study: Study, plan: StudyPlan) -> str:
    """SHA-256 (hex) over UIDs and content of every instance that the results are made from, in UID order."""
    used = {key for stack in plan.stacks for key in stack.instances}
    used |= {plan.reference} if plan.reference else set()
    lines = (f"{key} {study.instances[key][1]}\n" for key in sorted(used))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def settings_digest(settings: Settings, executions: Mapping[str, Execution]) -> str:
    """SHA-256 (hex) of the settings that can change a result; `executions`: of the networks, by kind of bundle."""
    relevant = {
        "recognition": settings.recognition.model_dump(mode="json", include=_RECOGNITION),
        "threads": settings.analysis.threads,  # sums in another order give other last bits
        "executions": {kind: str(execution) for kind, execution in executions.items()},
        "site": site_of(settings).canonical,
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def site_of(settings: Settings) -> Site:
    """The installation, as far as its results show it."""
    return Site(settings.uid_root, settings.institution, settings.time_zone, settings.results.name_patient)
