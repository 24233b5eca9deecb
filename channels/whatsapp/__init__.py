"""WhatsApp Cloud API: webhooks of one Meta app in, text messages out.

May import `channels` and `configs`. `payloads` reads webhooks, `rendering` writes WhatsApp's text marks, `outcomes`
decides on error codes, `channel` ties them to the signature and the Graph API. Start reading at `channel`.
"""

from channels.platform import Platform
from channels.whatsapp.channel import WhatsAppChannel
from channels.whatsapp.stand_in import WhatsAppStandIn

WHATSAPP = Platform(WhatsAppChannel, WhatsAppStandIn())

__all__ = ["WHATSAPP", "WhatsAppChannel"]
