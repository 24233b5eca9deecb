"""WhatsApp Cloud API: webhooks of one Meta app in, text messages out.

May import `channels` and `configs`. `payloads` reads webhooks, `rendering` writes WhatsApp's text marks, `outcomes`
decides on error codes, `channel` ties them to the signature and the Graph API. Start reading at `channel`.
"""

from channels.whatsapp.channel import WhatsAppChannel

__all__ = ["WhatsAppChannel"]
