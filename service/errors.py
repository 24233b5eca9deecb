"""What can go wrong in the gateway. Two questions decide the branch: whose fault, and may it be retried.

ServiceError
├── StorageError
│   ├── StorageUnavailable     ours, retry: database locked, disk full, server gone
│   ├── LeaseLost              nobody's: another gateway answers this conversation now
│   └── ConversationUnknown    the caller's
│       └── CorrectionUnknown  the caller's
├── GenerationError
│   ├── ModelUnavailable       the engine's, retry
│   │   ├── EngineLost         it broke off
│   │   │   └── EngineAway     nothing listens there: the prompt has no part in it
│   │   └── EngineResting      it failed too often in a row and is left alone, retry after `retry_after_s`
│   ├── GenerationTimeout      the engine's, retry
│   ├── TooLate                the engine's: its reader waited longer than `service.max_wait_s`
│   ├── AdapterUnknown         the operator's: promote or train it
│   ├── ContextTooLong         ours
│   └── EngineRefused          ours
├── TakenByAnother             another person's: they have the conversation
├── NotPossible                the caller's: a state that cannot follow, a name that is none
├── PromotionRefused           the candidate's: the gate says no, or was not asked
├── EngineFailed               the operator's: the engine does not start
├── ArchiveInvalid             the file's: no archive of ours, of another version, damaged
├── HomeInUse                  the operator's: the state folder holds something
├── RequestInvalid             the caller's: message names what and the limit
├── BrandUnknown               the caller's
├── AccessDenied               the caller's: key, site key, origin or session
│   └── NotSignedIn            the caller's: a page wants a person
├── Forbidden                  the caller's: their role does not allow it
├── NotFound                   the caller's: no such person, link or whatever is asked for by name
└── Busy                       nobody's, retry after `retry_after_s`
    ├── SlowDown               the caller's: more messages in a minute than its limit
    └── Full                   nobody's: a platform shall deliver later
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from configs.brand import Brand


class ServiceError(Exception):
    """Root of everything that the gateway raises."""

    code = "service_error"
    retryable = False


class PromotionRefused(ServiceError):
    """An adapter may not speak: the gate refused it, or has not judged it against what speaks now."""

    code = "promotion_refused"

    def __init__(self, message: str, reasons: tuple[str, ...]) -> None:
        super().__init__(message)
        self.reasons = reasons
        """What stands against it, one measure each."""


class StorageError(ServiceError):
    """The database could not do its work."""

    code = "storage_error"


class StorageUnavailable(StorageError):
    """The database is locked, full or gone; nothing was accepted."""

    code = "storage_unavailable"
    retryable = True


class LeaseLost(StorageError):
    """This gateway was taken for dead, and another one answers the conversation; nothing was stored."""

    code = "lease_lost"


class ConversationUnknown(StorageError):
    """No conversation or turn of this id."""

    code = "conversation_unknown"


class CorrectionUnknown(ConversationUnknown):
    """No correction of this id."""

    code = "correction_unknown"


class CannedReplyUnknown(ConversationUnknown):
    """No canned reply of this id."""

    code = "canned_reply_unknown"


class TakenByAnother(ServiceError):
    """Another person has the conversation."""

    code = "taken_by_another"

    def __init__(self, message: str, *, owner: str) -> None:
        super().__init__(message)
        self.owner = owner


class NotPossible(ServiceError):
    """A conversation cannot go from its state to the wanted one, or not by this name."""

    code = "not_possible"


class GenerationError(ServiceError):
    """No text could be generated."""

    code = "generation_error"


class ModelUnavailable(GenerationError):
    """The engine is starting, gone or overloaded."""

    code = "engine_unavailable"
    retryable = True


class EngineLost(ModelUnavailable):
    """The engine broke off or cannot be reached."""


class EngineAway(EngineLost):
    """Nothing listens there; what was asked has no part in it."""


class EngineResting(ModelUnavailable):
    """The engine's breaker is open; it was not asked."""

    code = "engine_resting"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = math.ceil(retry_after_s)


class GenerationTimeout(GenerationError):
    """The turn took longer than its deadline."""

    code = "timeout"
    retryable = True


class TooLate(GenerationError):
    """The message waited so long that an answer would come as if from nowhere."""

    code = "too_late"


class GaveUp(GenerationError):
    """The process died over this turn each time that it was begun."""

    code = "gave_up"


class AdapterUnknown(GenerationError):
    """No adapter of this brand and version is there."""

    code = "adapter_unknown"


class ContextTooLong(GenerationError):
    """The prompt does not fit into the model's context window."""

    code = "context_too_long"


class EngineRefused(GenerationError):
    """The engine takes the request for malformed."""

    code = "engine_refused"


class EngineFailed(ServiceError):
    """The engine's process does not come up."""

    code = "engine_failed"


class ArchiveInvalid(ServiceError):
    """A file is no archive of ours, of another version, damaged, or made to do harm."""

    code = "archive_invalid"


class HomeInUse(ServiceError):
    """The state folder holds something already."""

    code = "home_in_use"


class RequestInvalid(ServiceError):
    """The request cannot be served as it is."""

    code = "invalid_request"

    def __init__(self, message: str, *, code: str = "invalid_request", param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class BrandUnknown(ServiceError):
    """No brand of this name is configured."""

    code = "brand_unknown"


def brand_of(brands: Mapping[str, Brand], name: str) -> Brand:
    """A brand by its name.

    Raises:
        BrandUnknown: There is none of this name.
    """
    if name not in brands:
        raise BrandUnknown(f"There is no brand {name!r}.")
    return brands[name]


class AccessDenied(ServiceError):
    """The caller has not shown that it may do this."""

    code = "access_denied"


class NotSignedIn(AccessDenied):
    """Nobody is signed in, or not any more."""


class Forbidden(ServiceError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class NotFound(ServiceError):
    """Nothing of this name or id is here."""

    code = "not_found"


class Busy(ServiceError):
    """As many turns wait as may wait."""

    code = "busy"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SlowDown(Busy):
    """One visitor, account or everybody sent more messages than the limit."""

    code = "slow_down"


class Full(Busy):
    """More conversations wait than can be answered in time."""

    code = "full"
