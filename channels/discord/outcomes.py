"""What Discord's refusals mean for a reply: decided on its error code, and on the status where there is none.

Source: discord.com/developers/docs/topics/opcodes-and-status-codes#json and .../topics/rate-limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.answers import answer_object, passes, retry_after_s, seconds, whole
from channels.errors import DeliveryFailed

EXPIRED = 50027

UNKNOWN_WEBHOOK = 10015
"""Said of a token that Discord does not know yet: for some seconds after it took our first answer, and sometimes longer
(discord/discord-api-docs issue 7220). An expired token is told apart by its age before the call."""

_FINAL: dict[int, str] = {
    10003: "The channel is gone.",
    10008: "The message that it would replace was deleted.",
    10062: "Discord no longer knows the command: it was not answered within 3 s.",
    40333: "Discord's wall refused the call. See whether this machine's address is blocked.",
    50001: "The application may not see the channel.",
    50006: "The message was empty; report it.",
    50013: "The application may not write in the channel.",
    EXPIRED: "The command's token is no longer valid: answers are taken for 15 minutes.",
    50035: "A field was refused; report it.",
}


def failure(status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> DeliveryFailed:
    """What an answer that is no success means for the reply.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: Discord's error object, or anything that stood in its way.
        now_s: Seconds since the epoch.
    """
    answer = answer_object(body) or {}
    # 0 is said of anything that has no code of its own.
    code = whole(answer.get("code")) or None
    retryable = code not in _FINAL and (code == UNKNOWN_WEBHOOK or passes(status))
    told_s = seconds(answer.get("retry_after"))
    name = f"HTTP {status}" if code is None else f"code {code}"
    advice = "It is tried again later." if retryable else "The same call would be refused again; report it."
    return DeliveryFailed(
        f"Discord did not take the reply: {name}. {_FINAL.get(code or 0, advice)}",
        retryable=retryable,
        retry_after_s=retry_after_s(headers, now_s=now_s) if told_s is None else told_s,
        code=str(status if code is None else code),
    )
