"""WhatsApp's text marks: *bold*, _italic_, ~struck~, `code`; there are no labelled links and no escapes."""

from __future__ import annotations

from collections.abc import Sequence

from channels.base import OutboundReply
from channels.errors import DeliveryFailed
from channels.rendering import Markup, plain_link, render, unescaped

MAX_TEXT_CHARS = 4096
"""Source: Cloud API reference, messages, text.body."""

MARKUP = Markup(limit=MAX_TEXT_CHARS, bold="*", italic="_", strike="~", code="`", escape=unescaped, link=plain_link)

MAX_TEMPLATE_CHARS = 1024
"""Source: Cloud API, "Message templates", body; of a template with its values, so of a value at most."""


def in_template(parameters: Sequence[str], reply: OutboundReply) -> list[str]:
    """The values of a template, with the reply where they say `{reply}`; in one line, as WhatsApp wants values.

    Raises:
        DeliveryFailed: The reply is too long for a template: it is not cut, since what is left out may be what matters.
    """
    said = " ".join(" ".join(render(reply.text, reply.sources, MARKUP)).split())
    values = [parameter.replace("{reply}", said) for parameter in parameters]
    if any(len(value) > MAX_TEMPLATE_CHARS for value in values):
        raise DeliveryFailed(
            f"The reply has {len(said)} characters and does not fit into the template, whose values hold "
            f"{MAX_TEMPLATE_CHARS}. It can be sent when the person writes again.",
            retryable=False,
        )
    return values
