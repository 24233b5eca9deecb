"""Twilio: SMS and WhatsApp by it; webhooks of one account in, text messages out.

May import `channels` and `configs`. `payloads` reads webhooks, `rendering` writes texts for either, `segments` counts
what an SMS costs, `outcomes` decides on error codes, `channel` ties them to the signature and the API. Start reading
at `channel`.
"""

from channels.platform import Platform
from channels.twilio.channel import TwilioChannel
from channels.twilio.stand_in import TwilioStandIn

TWILIO = Platform(TwilioChannel, TwilioStandIn())

__all__ = ["TWILIO", "TwilioChannel"]
