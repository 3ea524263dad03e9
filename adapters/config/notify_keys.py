"""The keys of notifications."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from adapters.config import spelling
from adapters.config.keybase import Keys, Label, Name, Variable

Least = Literal["info", "warning", "alarm", "critical"]


class WebhookEntry(Keys):
    """An address that gets a POST about alarms."""

    url: Annotated[str, AfterValidator(spelling.check_url)] = Field(
        examples=["https://ops.example/hooks/depot"]
    )
    """Where to. Link-local and metadata addresses are refused; your own network is fine."""
    secret_env: Variable | None = Field(None, examples=["WATTKEEPER_HOOK_SECRET"])
    """Name of the environment variable that holds the key of the signature."""
    least: Least = "warning"
    """Least severity that is told."""


class EmailEntry(Keys):
    """A mail about alarms, through a mail server."""

    to: list[Annotated[str, AfterValidator(spelling.check_mailbox)]] = Field(
        min_length=1, max_length=20, examples=["[ops@example.org]"]
    )
    """Who gets it."""
    sender: Annotated[str, AfterValidator(spelling.check_mailbox)] = Field(
        examples=["wattkeeper@example.org"]
    )
    """Whom it comes from."""
    host: Label = Field(examples=["mail.example.org"])
    """Mail server."""
    port: int = Field(587, ge=1, le=65535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls`, `tls` from the start, or `none` (then without a password)."""
    user: Label | None = Field(None, examples=["wattkeeper"])
    """User at the mail server."""
    password_env: Variable | None = Field(None, examples=["WATTKEEPER_MAIL_PASSWORD"])
    """Name of the environment variable that holds the password."""
    least: Least = "warning"
    """Least severity that is told."""

    @model_validator(mode="after")
    def _password_is_protected(self) -> EmailEntry:
        if (self.user is None) != (self.password_env is None):
            raise spelling.misspelled(
                "user and password_env belong together", "write both, or none of them"
            )
        if self.user is not None and self.security == "none":
            raise spelling.misspelled(
                "the password would be sent in clear", "write security: starttls or tls"
            )
        return self


class QuietTimes(Keys):
    """When people want to sleep, by the site's clock."""

    begin: Annotated[str, AfterValidator(spelling.check_time_of_day)] = Field(examples=['"22:00"'])
    """From."""
    end: Annotated[str, AfterValidator(spelling.check_time_of_day)] = Field(examples=['"06:00"'])
    """To."""


class NotificationsSection(Keys):
    """Who is told of alarms, and when not."""

    webhooks: dict[Name, WebhookEntry] = Field(default_factory=dict, examples=["{ops: {url: ...}}"])
    """Addresses by a name of your choice."""
    emails: dict[Name, EmailEntry] = Field(default_factory=dict, examples=["{janitor: {to: ...}}"])
    """Mailboxes by a name of your choice."""
    quiet: QuietTimes | None = Field(None, examples=['{begin: "22:00", end: "06:00"}'])
    """Warnings wait for the end of it; alarms do not."""
    group_s: float = Field(20.0, ge=0, le=3600)
    """Alarms so close together become one message; critical ones go at once. [s]"""
