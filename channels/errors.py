"""What can go wrong at a channel.

    ChannelError
    ├── SignatureInvalid   the sender's fault: 401, never retried by us
    ├── StaleRequest       the sender's fault: 401
    ├── PayloadInvalid     the sender's fault: the body is kept aside, 200
    ├── DeliveryFailed     the platform's fault (retryable) or ours (not)
    └── ChannelUnknown     the operator's fault: no such channel or app
"""

from __future__ import annotations


class ChannelError(Exception):
    """Root of everything that a channel raises."""


class SignatureInvalid(ChannelError):
    """The request does not prove that it comes from the platform."""


class StaleRequest(ChannelError):
    """The signed time is too far from now: a replay, or a wrong clock."""


class PayloadInvalid(ChannelError):
    """The body is not of the platform's shape."""


class ChannelUnknown(ChannelError):
    """No channel or app of this name is configured."""


class DeliveryFailed(ChannelError):
    """The platform did not take a reply."""

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
