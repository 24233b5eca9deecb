"""Slack's mrkdwn: neutral Markdown to it, and what people typed in it back to plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from channels.rendering import Markup, honest_label

MAX_TEXT_CHARS = 3000
"""What a section block holds, which a message needs that has buttons.

Source: docs.slack.dev/reference/block-kit/blocks/section-block. A message of text alone may have 4,000
(docs.slack.dev/reference/methods/chat.postMessage).
"""

THUMBS: Mapping[str, Literal["up", "down"]] = {"brandvoice_up": "up", "brandvoice_down": "down"}
"""The buttons' action ids."""

_PICTURES = {"up": "👍", "down": "👎"}
_SHOWN = re.compile(r"<[^<>]*>|`[^`\n]*`|https?://[^\s<>|`]*[\w/]")

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Source: docs.slack.dev/messaging/formatting-message-text: these three and no others."""

_ESCAPE = re.compile("[&<>]")
_UNESCAPE = re.compile("&(amp|lt|gt);")
_UNESCAPED = {"amp": "&", "lt": "<", "gt": ">"}
_ANGLE = re.compile(r"<([^<>\n]+)>")


def escape(text: str) -> str:
    """Text that Slack shows as it is: it cannot become a mention such as `<!channel>`."""
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def link(label: str, url: str) -> str:
    """A link with its label; the bare address where the label would pretend to be another one."""
    address = escape(url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))
    shown = " ".join(label.split())
    return f"<{address}|{escape(shown)}>" if shown and honest_label(shown, url) else f"<{address}>"


MARKUP = Markup(limit=MAX_TEXT_CHARS, bold="*", italic="_", strike="~", code="`", escape=escape, link=link)


def blocks(text: str, *, rate: str = "", rated: Literal["up", "down"] | None = None, thanks: str = "") -> list[object]:
    """A message with thumbs under it, or with what is said once one was pressed.

    Args:
        text: Finished mrkdwn, at most `MAX_TEXT_CHARS`.
        rate: What a pressed thumb tells us: which reply it is.
        rated: The thumb that was pressed.
        thanks: Said beside it, as plain text.
    """
    # Verbatim: else Slack would look for names of channels and people in what we say, and link them.
    section = {"type": "section", "expand": True, "text": {"type": "mrkdwn", "text": _linked(text), "verbatim": True}}
    if rated:
        said = {"type": "plain_text", "text": f"{_PICTURES[rated]} {thanks}".strip()[:MAX_TEXT_CHARS], "emoji": True}
        return [section, {"type": "context", "elements": [said]}]
    thumbs = [
        {
            "type": "button",
            "action_id": action,
            "text": {"type": "plain_text", "text": _PICTURES[value], "emoji": True},
            "value": rate,
        }
        for action, value in THUMBS.items()
    ]
    return [section, {"type": "actions", "elements": thumbs}]


def _linked(text: str) -> str:
    """Bare addresses as links, which a verbatim text does not make by itself; as it is where it would grow too long."""
    linked = _SHOWN.sub(lambda found: f"<{found[0]}>" if found[0].startswith("http") else found[0], text)
    return linked if len(linked.encode("utf-16-le")) // 2 <= MAX_TEXT_CHARS else text


def plain_text(text: str, *, own_ids: frozenset[str], addressed: bool) -> str:
    """What the person wrote, without Slack's escapes and without the mention that called us.

    Args:
        text: The event's text.
        own_ids: User ids of ours; their mentions go.
        addressed: Whether the event is an app_mention; where none of our ids stands in it, its first mention is us.
    """
    mentions = re.findall(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>", text)
    own = own_ids.intersection(mentions)
    if addressed and mentions and not own:
        own = frozenset(mentions[:1])

    def decoded(found: re.Match[str]) -> str:
        return _decoded(found[1], own)

    return _unescape(_ANGLE.sub(decoded, text)).strip()


def _unescape(text: str) -> str:
    return _UNESCAPE.sub(lambda found: _UNESCAPED[found[1]], text)


def _decoded(inside: str, own: frozenset[str]) -> str:
    """What Slack shows for the inside of one pair of angle brackets, still escaped."""
    target, _, label = inside.partition("|")
    kind, name = target[:1], target[1:]
    if kind == "@":
        return "" if name in own else f"@{label or name}"
    if kind == "#":
        return f"#{label or name}"
    if kind == "!":
        # <!here>, <!subteam^S1|@group>, <!date^...|fallback>
        return label or f"@{name.partition('^')[0]}"
    address = target.removeprefix("mailto:").removeprefix("tel:")
    if not label or not address or address.removesuffix("/").endswith(label):
        return label or address
    return f"{label} ({address})"
