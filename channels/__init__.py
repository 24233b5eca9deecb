"""Messaging platforms: verify and parse what they deliver, render and read what we send.

May import `configs` and nothing else of ours; no web framework, no network: bytes and headers in,
messages and requests out. One folder a platform; `registry` knows their names, `testing` holds the suite that
each must pass. Start reading at `base`, then `slack/channel.py`.
"""
