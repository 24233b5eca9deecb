"""LINE Messaging API: webhooks of one official account in, text messages out.

May import `channels` and `configs`. `payloads` reads webhooks, `rendering` knows LINE's limits, `channel` ties them to
the signature and the API. Start reading at `channel`.
"""

from channels.line.channel import LineChannel
from channels.line.stand_in import LineStandIn
from channels.platform import Platform

LINE = Platform(LineChannel, LineStandIn())

__all__ = ["LINE", "LineChannel"]
