"""Telegram: Bot API updates in, `sendMessage` out.

May import `channels` and `configs`. `payloads` reads updates, `rendering` writes Telegram's HTML, `outcomes` reads its
refusals, `channel` ties them to the secret word and the Bot API. Start reading at `channel`.
"""

from channels.platform import Platform
from channels.telegram.channel import TelegramChannel
from channels.telegram.stand_in import TelegramStandIn

TELEGRAM = Platform(TelegramChannel, TelegramStandIn())

__all__ = ["TELEGRAM", "TelegramChannel"]
