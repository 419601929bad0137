"""config.toml as typed, frozen values; every key is documented in config.toml itself.

Rooms receive the section that they need, never the whole. A file that cannot be run with is refused before
anything starts, one line a fault, naming the file and the key.
"""

from node.settings.alerts import AlertSettings, Encryption, MailSettings, WebhookSettings
from node.settings.audit import AuditSettings, SyslogSettings
from node.settings.destinations import ADDITIONAL, USUAL_RESULTS, Conditions, ResultKind
from node.settings.known_answer import KnownAnswerSettings
from node.settings.loading import former_keys, load_settings, recognition_in
from node.settings.maintenance import MaintenanceSettings
from node.settings.recognition import (
    Limits,
    Match,
    RecognitionRule,
    RecognitionSettings,
    SiteRule,
    Wanted,
)
from node.settings.remotes import RemoteSettings
from node.settings.retention import Remove, RetentionRule, RetentionSettings
from node.settings.retrieval import Method, RetrievalSettings
from node.settings.sections import (
    SHIPPED,
    AnalysisSettings,
    CompletionSettings,
    ListenerSettings,
    ResultSettings,
    Settings,
)
from node.settings.values import Credentials
from node.settings.web import WebSettings

__all__ = [
    "ADDITIONAL",
    "SHIPPED",
    "USUAL_RESULTS",
    "AlertSettings",
    "AnalysisSettings",
    "AuditSettings",
    "CompletionSettings",
    "Conditions",
    "Credentials",
    "Encryption",
    "KnownAnswerSettings",
    "Limits",
    "ListenerSettings",
    "MailSettings",
    "MaintenanceSettings",
    "Match",
    "Method",
    "RecognitionRule",
    "RecognitionSettings",
    "RemoteSettings",
    "Remove",
    "ResultKind",
    "ResultSettings",
    "RetentionRule",
    "RetentionSettings",
    "RetrievalSettings",
    "Settings",
    "SiteRule",
    "SyslogSettings",
    "Wanted",
    "WebSettings",
    "WebhookSettings",
    "former_keys",
    "load_settings",
    "recognition_in",
]
