"""Slack: Events API in, `chat.postMessage` out.

May import `channels` and `configs`. `payloads` reads events, `rendering` writes mrkdwn, `channel` ties them to the
signature and the Web API. Start reading at `channel`.
"""

from channels.slack.channel import SlackChannel

__all__ = ["SlackChannel"]
