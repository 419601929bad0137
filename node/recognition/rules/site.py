"""Rules of a site applied to a series: accepted body parts, the clock of its phases, the time of injection."""

from __future__ import annotations

import re

from node.recognition.header.elements import first, time_of_day
from node.recognition.header.facts import HeaderFacts
from node.recognition.header.spelling import read_number
from node.settings import RecognitionSettings, SiteRule


def rules_for(header: HeaderFacts, settings: RecognitionSettings) -> tuple[SiteRule, ...]:
    """The rules whose every given condition holds for a series, in the order of the configuration."""
    return tuple(rule for rule in settings.site_rules if _holds(rule, header))


def accepts_body_part(header: HeaderFacts, settings: RecognitionSettings) -> bool:
    """Whether a series may be analysed; one without Body Part Examined may."""
    if not header.body_part:
        return True
    accepted = {
        *settings.body_parts,
        *(part for rule in rules_for(header, settings) for part in rule.accept_body_parts),
    }
    return header.body_part in {" ".join(part.upper().split()) for part in accepted}


def phase_time_s(header: HeaderFacts, settings: RecognitionSettings) -> float | None:
    """The time of the phase on the scanner's clock in seconds, as a site rule finds it in Series Description."""
    return first(read_number(text) for text in _phase_times(header, settings))


def phase_clock_s(header: HeaderFacts, settings: RecognitionSettings) -> float | None:
    """The same where it is a time of day, such as 10:22:33 AM: seconds since midnight."""
    return first(time_of_day(text) for text in _phase_times(header, settings) if ":" in text)


def _phase_times(header: HeaderFacts, settings: RecognitionSettings) -> list[str]:
    patterns = (rule.phase_time_pattern for rule in rules_for(header, settings) if rule.phase_time_pattern)
    found = (re.search(pattern, header.description) for pattern in patterns)
    return [match.group(1) for match in found if match and match.group(1)]


def injection_s(header: HeaderFacts, settings: RecognitionSettings) -> float | None:
    """The time of injection: on the clock of `phase_time_s` where a rule reads one, else after the first phase."""
    return first(rule.injection_s for rule in rules_for(header, settings))


def preferred_phase_s(header: HeaderFacts, settings: RecognitionSettings) -> float | None:
    """The phase time after injection that a rule prefers, or None where no rule names one."""
    return first(rule.preferred_phase_s for rule in rules_for(header, settings))


def _holds(rule: SiteRule, header: HeaderFacts) -> bool:
    conditions = (
        (rule.manufacturer, header.manufacturer),
        (rule.model, header.model),
        (rule.series_description, header.description),
    )
    return all(not pattern or re.search(pattern, value, re.IGNORECASE) for pattern, value in conditions)
