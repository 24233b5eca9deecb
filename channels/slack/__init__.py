"""Slack: Events API in, `chat.postMessage` out.

May import `channels` and `configs`. `payloads` reads events, `rendering` writes mrkdwn, `channel` ties them to the
signature and the Web API. Start reading at `channel`.
"""

from channels.platform import Platform
from channels.slack.channel import SlackChannel
from channels.slack.stand_in import SlackStandIn

SLACK = Platform(SlackChannel, SlackStandIn())

__all__ = ["SLACK", "SlackChannel"]
