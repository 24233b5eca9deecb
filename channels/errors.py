"""What can go wrong at a channel.

ChannelError
├── SignatureInvalid   the sender's fault: 401, never retried by us
├── StaleRequest       the sender's fault: 401
├── NotReady           nobody's fault: 503, so that it is sent again
├── PayloadInvalid     the sender's fault: the body is kept aside, 200
├── DeliveryFailed     the platform's fault (retryable) or ours (not)
├── InstallRefused     the account's choice, or the platform's: told to whom installs
├── ChannelUnknown     the operator's fault: no such channel or app
└── ChannelMisconfigured  the operator's fault: a secret or an address is missing or of no use
"""

from __future__ import annotations


class ChannelError(Exception):
    """Root of everything that a channel raises."""


class SignatureInvalid(ChannelError):
    """The request does not prove that it comes from the platform."""


class StaleRequest(ChannelError):
    """The signed time is too far from now: a replay, or a wrong clock."""


class NotReady(ChannelError):
    """What is needed to check the request has not come from the network yet; see `channels.base.Fetches`."""


class PayloadInvalid(ChannelError):
    """The body is not of the platform's shape."""


class ChannelUnknown(ChannelError):
    """No channel or app of this name is configured."""


class ChannelMisconfigured(ChannelError):
    """A secret or an address of an app is missing or of no use; the app must stay off."""


class InstallRefused(ChannelError):
    """The app was not installed; the message says why, and holds nothing that the platform wrote."""


class DeliveryFailed(ChannelError):
    """The platform did not take a reply."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        code: str | None = None,
        backoff_base: float | None = None,
        needs_operator: bool = False,
        window_closed: bool = False,
    ) -> None:
        """Keep what the outbox decides on.

        Args:
            message: What happened and what to try; never the platform's own text, which may name a customer.
            retryable: Whether the same call may succeed later.
            retry_after_s: The platform's own waiting time in seconds, where it gave one.
            code: The platform's error code as text, such as `invalid_auth` or `131047`; the HTTP status without one.
            backoff_base: Where the platform asks for waits that grow: the n-th is this to the power of n seconds.
            needs_operator: Whether nothing of this account will be taken until somebody acts at the platform.
            window_closed: Whether free text is no longer taken for this person, but a template might be.
        """
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.code = code
        self.backoff_base = backoff_base
        self.needs_operator = needs_operator
        self.window_closed = window_closed
