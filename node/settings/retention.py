"""Retention: what is removed by itself, and when."""

from __future__ import annotations

import re
from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from node.settings.destinations import Hours
from node.settings.values import Pattern, Seconds, Section
from storage.records import ENDED_STATES, StudyState


class Remove(StrEnum):
    """What of a study a rule removes; IMAGES leaves results, report and record."""

    IMAGES = "images"
    STUDY = "study"


class RetentionRule(Section):
    """Studies that are removed: those that meet all conditions of a rule.

    Attributes:
        name: what log and record call it.
        remove: what of them.
        older_than_days: nothing of them came for so long, in days.
        states: they have ended in one of these.
        patient_id: a regular expression for the whole Patient ID; empty: of anybody.
        except_patient_id: a regular expression for the whole Patient ID of those whose studies stay; empty: nobody's.
        free_below_gb: only while less disk is free, in GB, the oldest first; 0: however much is free.
        free_again_gb: then until so much is free, in GB.
    """

    name: str = Field(min_length=1, max_length=64)
    remove: Remove = Remove.STUDY
    older_than_days: float = Field(ge=0)
    states: tuple[StudyState, ...] = (StudyState.COMPLETED, StudyState.REFUSED)
    patient_id: Pattern = ""
    except_patient_id: Pattern = ""
    free_below_gb: float = Field(default=0, ge=0)
    free_again_gb: float = Field(default=0, ge=0)

    def is_for(self, patient_id: str | None) -> bool:
        """Whether it is for studies of a patient; where the ID is not known it is for nobody in particular."""
        known = patient_id or ""
        if self.except_patient_id and (not known or re.fullmatch(self.except_patient_id, known)):
            return False
        return not self.patient_id or bool(known and re.fullmatch(self.patient_id, known))

    @field_validator("states")
    @classmethod
    def _ended(cls, states: tuple[StudyState, ...]) -> tuple[StudyState, ...]:
        open_ones = sorted(set(states) - ENDED_STATES)
        if open_ones or not states:
            raise ValueError(f"one or more of {', '.join(sorted(ENDED_STATES))}: only what has ended is removed")
        return states

    @model_validator(mode="after")
    def _space(self) -> RetentionRule:
        if self.free_below_gb and self.free_again_gb < self.free_below_gb:
            raise ValueError("free_again_gb must not be less than free_below_gb")
        if self.free_again_gb and not self.free_below_gb:
            raise ValueError("free_below_gb is needed: when removing begins")
        if not (self.older_than_days or self.free_below_gb):
            raise ValueError("older_than_days must be more than 0, unless there is free_below_gb")
        return self


class RetentionSettings(Section):
    """What is removed by itself.

    Attributes:
        enabled: whether anything is.
        every_s: how often it is looked, in s.
        hours: of the day in which rules without free_below_gb remove, in the site's time zone; empty: all.
        most_at_once: studies of one look.
        promises_hold: studies are kept that others asked this node to commit.
        alert_free_gb: below so much free disk an alert is raised, in GB; 0: twice `listener.minimum_free_gb`.
        rules: the first that fits a study is the one by which it is removed.
    """

    enabled: bool = False
    every_s: Seconds = 300
    hours: Hours = ""
    most_at_once: int = Field(default=200, ge=1)
    promises_hold: bool = True
    alert_free_gb: float = Field(default=0, ge=0)
    rules: tuple[RetentionRule, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> RetentionSettings:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("rules: two rules have the same name")
        if self.enabled and not self.rules:
            raise ValueError("rules: enabled, and there is no rule by which anything could be removed")
        return self
