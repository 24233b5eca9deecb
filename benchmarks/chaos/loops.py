"""Our bot against itself on every platform, and replies that would call, mention or mark up if they could."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from html import unescape
from typing import Any

from benchmarks.chaos.delivery import App, post
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row, Stopwatch
from channels.base import OutboundReply
from channels.registry import PLATFORMS

PINGS = (
    "@everyone", "@here", "<!channel>", "<!here>", "<!everyone>", "<@U0123ABCD>", "<@!123456789012345678>",
    "<@&123456789012345678>", "<#C0123ABCD>", "<#123456789012345678>", "<!subteam^S0123>", "<!date^1^x|x>",
    "@channel", "@all", "@room", "@username", "/start", "/ban @all", "</ask:1041000000000000001>", "<at>Everyone</at>",
    "<at id=\"0\">General</at>", "[@everyone](https://x.example)", "[<!channel>](https://x.example)",
    "**@everyone**", "`<!channel>`", "*<@U0123ABCD>*", "> @here", "# @everyone", "- <!here>", "~~@everyone~~",
    "&lt;!channel&gt;", "<https://x.example|<!channel>>", "![@everyone](https://x.example/x.png)",
    "tg://user?id=1", "[you](tg://user?id=1)", "<a href=\"tg://user?id=1\">you</a>", "\\@everyone", "@\u200beveryone",
    "<id:customize>", "<@U0123ABCD|you>",
)  # fmt: skip
"""Forty texts that one platform or another takes for a call to people, a command or markup."""

LIVE: Mapping[str, re.Pattern[str]] = {
    "slack": re.compile(r"<[!@#][^>]*>"),
    # A command is none behind <, > or another / (TDLib, MessageEntity.cpp).
    "telegram": re.compile(r"(?<![\w\u2060])@(?!\u2060)[A-Za-z]\w{2,}|(?<![\w\u2060/<>])/(?!\u2060)[A-Za-z]\w+"),
    "teams": re.compile(r"<at\b"),
    "discord": re.compile(r"(?<!\\)<(?:[@#]|/\w|id:)[^>]*>"),
}
"""What would call somebody in the text that goes out, where the text alone can."""


async def loops(*, seconds: float) -> list[Row]:
    """Deliver each reply of ours back to us, as a platform does with the messages of a bot, for some time.

    Args:
        seconds: For how long; what comes back is delivered at once.
    """
    watch = Stopwatch()
    async with rig() as one:
        await one.begin()
        apps = {app.channel.name: app for app in one.apps()}
        for at, app in enumerate(apps.values()):
            await one.deliver(app, f"k{at + 1:05d}x00")
        await one.settled()
        echoed, until_s = 0, time.monotonic() + seconds
        while time.monotonic() < until_s:
            shown = one.platforms.shown
            for message in shown[echoed:]:
                for body in _echoes(one, apps[message.channel], message.text):
                    await post(one.session, one.url, apps[message.channel], body)
            echoed = len(shown)
            await asyncio.sleep(0.1)
        await one.settled()
        replies = {name: sum(message.channel == name for message in one.platforms.shown) for name in apps}
    most = max(replies.values())
    looping = sorted(name for name, count in replies.items() if count > 1)
    result = f"{sum(replies.values())} replies on {len(apps)} platforms, at most {most} each"
    result += f" (loops: {', '.join(looping)})" if looping else ""
    return [
        Row(
            f"our bot against itself for {seconds:.0f} s",
            echoed,
            "1 reply each",
            result,
            min(replies.values()) == most == 1,
            watch.seconds,
        )
    ]


def _echoes(one: Rig, app: App, text: str) -> list[bytes]:
    """How the platform tells us of our own message; none where it tells of none (Discord, LINE, Telegram, Twilio)."""
    body = one.body(app, f"k{one.platforms.sentences().total():05d}x99", text)
    if app.channel.name in ("discord", "line", "telegram", "twilio"):
        return []
    payload: dict[str, Any] = json.loads(body)
    match app.channel.name:
        case "slack":
            payload["event"] |= {
                "bot_id": "B0SELF",
                "user": payload.get("authorizations", [{}])[0].get("user_id", "U0SELF"),
            }
        case "teams":
            payload["from"] = payload["recipient"]
        case "whatsapp":
            value = payload["entry"][0]["changes"][0]["value"]
            value["message_echoes"] = value.pop("messages")
        case _:
            event = payload["entry"][0]["messaging"][0]
            event["sender"], event["recipient"] = event["recipient"], event["sender"]
            event["message"]["is_echo"] = True
    return [json.dumps(payload).encode()]


async def pings() -> list[Row]:
    """Render replies that would call everybody, and look at what would go out."""
    found: list[Row] = []
    async with rig() as one:
        for app in one.apps():
            watch = Stopwatch()
            message = app.channel.parse(one.body(app, "k00001x00")).messages[0]
            stand_in = PLATFORMS[app.channel.name].stand_in
            live, refused = [], 0
            for text in PINGS:
                reply = OutboundReply(message.account, message.reply_to, f"Well, {text} and more.", "out-1")
                for request in app.channel.render(reply):
                    status, _, body = stand_in.answer(request, number=1)
                    refused += not 200 <= status < 300 or b'"ok": false' in body
                    if _calls(app.channel.name, request.fields, "".join(stand_in.texts(request))):
                        live.append(text)
            result = f"{len(live)} pings, {refused} refused by the platform" + "".join(
                f" [{text}]" for text in live[:5]
            )
            found.append(Row(f"mentions in replies: {app.channel.name}", len(PINGS), "0 pings, 0 refused", result,
                             not live and not refused, watch.seconds))  # fmt: skip
    return found


def _calls(channel: str, fields: Mapping[str, Any], text: str) -> bool:
    """Whether a call would mention somebody; Discord says so by a field, and needs no look at the text then."""
    if channel == "discord" and fields.get("allowed_mentions") == {"parse": []}:
        return False
    if channel == "teams" and fields.get("entities"):
        return True
    if channel == "telegram":
        if '<a href="tg:' in text:
            return True
        text = unescape(re.sub(r"<(?!a )[^>]*>", "", text))
    pattern = LIVE.get(channel)
    return bool(pattern and pattern.search(text))
