"""Messenger: webhooks of one Meta app with a Facebook page in, text messages out.

May import `channels` and `configs`. Nearly all of it is shared with Instagram and lies in `channels/meta`; here stands
what is Messenger's own. Start reading at `channel`.
"""

from channels.messenger.channel import MARKUP, MessengerChannel
from channels.meta.stand_in import SendApiStandIn
from channels.platform import Platform

MESSENGER = Platform(MessengerChannel, SendApiStandIn(MARKUP, typed=True))

__all__ = ["MESSENGER", "MessengerChannel"]
