"""Slack's mrkdwn: neutral Markdown to it, and what people typed in it back to plain text."""

from __future__ import annotations

import re

from channels.rendering import Markup, honest_label

MAX_TEXT_CHARS = 4000
"""Source: docs.slack.dev/reference/methods/chat.postMessage: at most 4,000 characters advised, cut above 40,000."""

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
