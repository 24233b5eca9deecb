"""What Meta's platforms share: WhatsApp, Messenger and Instagram.

`app` is a channel's part that is the same for all three (handshake, signature, calls), `envelope` the outside of their
webhooks, `graph` the reading of the Graph API's answers. `messaging`, `send_api` and `stand_in` are what Messenger and
Instagram share beyond that: one shape of events, one Send API.
"""
