"""What Telegram's refusals mean for a reply: decided on the error code; its descriptions only choose our advice.

Source: core.telegram.org/bots/api#making-requests and #responseparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.answers import answer_object, passes, retry_after_s, seconds, whole
from channels.errors import DeliveryFailed

MIGRATED = "migrated"
"""Our own code for a group that became a supergroup, since Telegram's 400 says that of everything."""

_BY_DESCRIPTION = {
    "blocked by the user": "The person blocked the bot.",
    "user is deactivated": "The person's account is gone.",
    "bot was kicked": "The bot was removed from the group.",
    "chat not found": "There is no such chat, or the person never wrote to this bot.",
    "message thread not found": "The topic was deleted.",
    "topic_closed": "The topic is closed.",
    "not enough rights": "The bot may not write in this group. Give it the right to send messages.",
    "can't parse entities": "The markup should have been right; report it.",
    "message is too long": "This should have been split; report it.",
}
"""Words of Telegram's descriptions, in lower case; the descriptions themselves are never passed on."""

_BY_CODE = {
    401: "The bot token is not valid. Store the one that @BotFather shows for this bot.",
    403: "The bot may not write to this chat.",
    404: "The bot token or the address is wrong. Store the token that @BotFather shows for this bot.",
}


def failure(status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> DeliveryFailed:
    """What an answer that is no success means for the reply.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        body: Telegram's error object, or anything that stood in its way.
        now_s: Seconds since the epoch.
    """
    answer = answer_object(body) or {}
    found = whole(answer.get("error_code"))
    code = status if found is None else found
    parameters = answer.get("parameters")
    told: Mapping[str, Any] = parameters if isinstance(parameters, dict) else {}
    if "migrate_to_chat_id" in told:
        return DeliveryFailed(
            "Telegram did not take the reply: the group became a supergroup, which is another chat. "
            "What is written there is answered there.",
            retryable=False,
            code=MIGRATED,
        )
    retryable = passes(code)
    wait_s = seconds(told.get("retry_after"))
    return DeliveryFailed(
        f"Telegram did not take the reply: code {code}. {_advice(code, answer, retryable=retryable)}",
        retryable=retryable,
        retry_after_s=retry_after_s(headers, now_s=now_s) if wait_s is None else wait_s,
        code=str(code),
    )


def _advice(code: int, answer: Mapping[str, Any], *, retryable: bool) -> str:
    description = str(answer.get("description", "")).lower()
    for words, advice in _BY_DESCRIPTION.items():
        if words in description:
            return advice
    if retryable:
        return "It is tried again later."
    return _BY_CODE.get(code, "The same call would be refused again; report it.")
