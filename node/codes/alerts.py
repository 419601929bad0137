"""Codes of alerts: conditions that an operator has to see, each with what it is about (the subject of the alert)."""

from __future__ import annotations

from node.codes.definition import Definition, Kind


class Alert(Definition):
    """A code of `storage.alerts`."""

    DELIVERY_FAILED = (
        "E-DELIVERY-FAILED",
        "Results have failed for good at a destination (subject: its name).",
        "See why by `rectal-node status --study UID`; once the destination is mended, `rectal-node resend UID`.",
        Kind.ALERT,
    )
    RESULT_WITHDRAWN = (
        "E-RESULT-WITHDRAWN",
        "Results of a study (subject) have to be taken back at a destination that has them.",
        "Have the objects that `rectal-node status --study UID` names removed there, then acknowledge the alert.",
        Kind.ALERT,
    )
    NOT_COMMITTED = (
        "E-NOT-COMMITTED",
        "A destination (subject) does not commit to results that it had acknowledged.",
        "Look into its log and its storage; `rectal-node resend UID` sends the results of a study again.",
        Kind.ALERT,
    )
    QUARANTINED = (
        "E-QUARANTINED",
        "A sender (subject: its AE title) has sent bytes that are no object that can be kept.",
        "See why by `rectal-node quarantine list`; send again what was cut short, then release or discard the entries.",
        Kind.ALERT,
    )
    NOT_CATALOGUED = (
        "E-NOT-CATALOGUED",
        "Stored objects cannot be entered into the catalogue; queries do not find them.",
        "See the log; what can be read again is entered by `rectal-node reindex`.",
        Kind.ALERT,
    )
    NOT_RETRIEVED = (
        "E-NOT-RETRIEVED",
        "A study (subject) could not be fetched whole, and is not tried again.",
        "See what is short by `rectal-node retrievals`; once the remote is mended, `rectal-node retrieve`.",
        Kind.ALERT,
    )
    PROCESS_DIED = (
        "E-PROCESS-DIED",
        "A process that serves associations has died and was replaced.",
        "See the log for the signal, which is most often for lack of memory, then acknowledge the alert.",
        Kind.ALERT,
    )
    CERTIFICATE_EXPIRES = (
        "E-CERTIFICATE-EXPIRES",
        "A certificate of the node (subject: its file) expires soon or has expired.",
        "Put a new one into its place; no restart is needed.",
        Kind.ALERT,
    )
    STUDY_FAILED = (
        "E-STUDY-FAILED",
        "The analysis of a study (subject) has failed for good.",
        "See why by `rectal-node status --study UID`; once the cause is mended, `rectal-node rerun UID`.",
        Kind.ALERT,
    )
    STEP_SET_ASIDE = (
        "E-STEP-SET-ASIDE",
        "A step of the analysis of a study (subject) has killed its process again and again and was set aside.",
        "See the log and the memory of the machine, then `rectal-node rerun STUDY`.",
        Kind.ALERT,
    )
    DISK_FULL = (
        "E-DISK-FULL",
        "The disk is full; what has to be written waits (subject: for which work).",
        "Make room, or a larger disk; what waits goes on by itself.",
        Kind.ALERT,
    )
    NOT_WRITABLE = (
        "E-NOT-WRITABLE",
        "A disk or folder cannot be written: it is read-only, or the rights of the node do not suffice.",
        "Mount it for writing, or correct the rights; what waits goes on by itself.",
        Kind.ALERT,
    )
    DISK_ERROR = (
        "E-DISK-ERROR",
        "The disk, or the network folder, does not give a file that the node has put there.",
        "See the log for the file, and look after disk and mount; what waits goes on by itself once the file is there.",
        Kind.ALERT,
    )
    SHORT_OF_RESOURCES = (
        "E-SHORT-OF-RESOURCES",
        "Memory, threads or file descriptors of the machine do not suffice.",
        "See what else runs there, and the limits of the service; what waits goes on by itself.",
        Kind.ALERT,
    )
    DATABASE_FAULT = (
        "E-DATABASE-FAULT",
        "The database does not answer, or cannot be used.",
        "See that PostgreSQL runs, or that no other program locks the file; what waits goes on by itself.",
        Kind.ALERT,
    )
    NETWORK_FAULT = (
        "E-NETWORK-FAULT",
        "The network of the machine, or what it has to reach, does not answer.",
        "Look after the network; what waits goes on by itself.",
        Kind.ALERT,
    )
    OBJECT_DAMAGED = (
        "E-OBJECT-DAMAGED",
        "Files of stored objects of a study (subject) are gone or are not what was stored; it is not analysed by them.",
        "Look after the disk. A PACS of `[[retrieval]]` is asked for them by itself; else send them again, and what "
        "waits for them goes on. Of a result: `rectal-node rerun STUDY`. The bytes are in quarantine.",
        Kind.ALERT,
        Kind.REFUSAL,
    )
    DATABASE_DAMAGED = (
        "E-DATABASE-DAMAGED",
        "The index (subject: its address) is damaged on the disk; the node goes on as long as it can.",
        "Look after the disk. Stop the node, then `rectal-node restore` a backup, or `rectal-node reindex`.",
        Kind.ALERT,
    )
    KNOWN_ANSWER = (
        "E-KNOWN-ANSWER",
        "The known-answer check gave another answer than the stored one, or none in its time.",
        "Do not rely on new results until `rectal-node check-answer` passes; see the differences that the alert names.",
        Kind.ALERT,
    )
    NOT_SENT = (
        "E-NOT-SENT",
        "A channel (subject) of `alerts` does not take messages; operators are not told of anything through it.",
        "See the reason, and the address and the secrets in `alerts`.",
        Kind.ALERT,
    )
    DISK_LOW = (
        "E-DISK-LOW",
        "Little of the disk that holds the root (subject) is free; soon objects are refused.",
        "Make room, or let `retention` do so by a rule with free_below_gb (docs/operations.md).",
        Kind.ALERT,
    )
    REMOVAL_UNFINISHED = (
        "E-REMOVAL-UNFINISHED",
        "Files of studies that were removed cannot be removed from the disk; it is tried again.",
        "Look after the disk and the rights of its folders.",
        Kind.ALERT,
    )
    ERASURE_UNFINISHED = (
        "E-ERASURE-UNFINISHED",
        "An order to erase a patient (subject: its number) has begun and has not come to its end.",
        "Give the same order again: `rectal-node erase`.",
        Kind.ALERT,
    )
    AUDIT_NOT_WRITTEN = (
        "E-AUDIT-NOT-WRITTEN",
        "Events of the audit are not written to a place (subject); they are kept, and written once that is possible.",
        "See the reason: make room, mend the rights of the folder, or look after the collector of `audit.syslog`.",
        Kind.ALERT,
    )
    AUDIT_DAMAGED = (
        "E-AUDIT-DAMAGED",
        "Lines of the audit that were written are gone or changed.",
        "Run `rectal-node audit verify`, keep the files as they are, and find out who has changed them.",
        Kind.ALERT,
    )
