"""Instagram: webhooks of one Meta app with an Instagram professional account in, text messages out.

May import `channels` and `configs`. Nearly all of it is shared with Messenger and lies in `channels/meta`; here stands
what is Instagram's own. Start reading at `channel`.
"""

from channels.instagram.channel import MARKUP, InstagramChannel
from channels.meta.stand_in import SendApiStandIn
from channels.platform import Platform

INSTAGRAM = Platform(InstagramChannel, SendApiStandIn(MARKUP, typed=False))

__all__ = ["INSTAGRAM", "InstagramChannel"]
