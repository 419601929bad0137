"""Alerts by mail (SMTP)."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from node.maintenance.message import Message, NotTakenError
from node.settings import Encryption, MailSettings


class Mail:
    """A server that takes mail for operators."""

    name = "mail"

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def tell(self, message: Message) -> str:
        """Send a message to all recipients; returns for whom it was refused where others got it.

        Raises:
            NotTakenError: it was taken for nobody.
        """
        try:
            refused = self._send(message)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode("ascii", "replace") if isinstance(error.smtp_error, bytes) else ""
            raise NotTakenError(f"mail: {error.smtp_code} {said}".rstrip()) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise NotTakenError(f"mail: refused for {', '.join(error.recipients)}") from error
        except (OSError, smtplib.SMTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NotTakenError(f"mail: {why}") from error
        return f"mail: refused for {', '.join(refused)}" if refused else ""

    def _send(self, message: Message) -> dict[str, tuple[int, bytes]]:
        settings = self._settings
        with self._connected() as server:
            if settings.encryption is Encryption.STARTTLS:
                server.starttls(context=self._context())
            if settings.username:
                server.login(settings.username, settings.password())
            return server.send_message(self._written(message))

    def _connected(self) -> smtplib.SMTP:
        settings, name = self._settings, socket.gethostname()  # smtplib would ask the network for a longer one
        if settings.encryption is Encryption.TLS:
            return smtplib.SMTP_SSL(
                settings.host, settings.port, name, timeout=settings.timeout_s, context=self._context()
            )
        return smtplib.SMTP(settings.host, settings.port, name, timeout=settings.timeout_s)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._settings.authorities)

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._settings.sender, ", ".join(self._settings.recipients)
        mail["Subject"] = message.headline
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=self._settings.sender.partition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is to be told to the node
        mail.set_content(message.text())
        return mail
