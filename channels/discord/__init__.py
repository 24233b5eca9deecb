"""Discord: interactions in, edits of the deferred answer out.

May import `channels` and `configs`. `payloads` reads interactions, `rendering` writes Discord's Markdown, `outcomes`
reads its refusals, `channel` ties them to the signature and the API. Start reading at `channel`.
"""

from channels.discord.channel import DiscordChannel
from channels.discord.stand_in import DiscordStandIn
from channels.platform import Platform

DISCORD = Platform(DiscordChannel, DiscordStandIn())

__all__ = ["DISCORD", "DiscordChannel"]
