"""Where an activity may say that its answer goes: our token must never be posted to anyone but Microsoft."""

from __future__ import annotations

import re

HOST = "smba.trafficmanager.net"
"""Of Teams in the public cloud. Only this name: anyone may have another one below trafficmanager.net."""

DOMAINS = (".botframework.com", ".teams.microsoft.com")
"""Microsoft's alone; the second holds the US government's community cloud (smba.infra.gcc.teams.microsoft.com).

The clouds under .us sign with other keys for another issuer, so nothing of theirs gets here.
"""

_ADDRESS = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9.-]+)(?P<port>:\d{1,5})?)(/[\w.~-]*)*", re.ASCII
)
"""No user, no query, no escapes, and nothing that two parsers could read in two ways."""


def is_trusted(service_url: str, *, api_url: str) -> bool:
    """Whether a token may be sent to this serviceUrl.

    Args:
        service_url: As it stands in the activity.
        api_url: The app's own; its scheme, host and port are trusted too, which lets the simulator in.
    """
    address = _ADDRESS.fullmatch(service_url)
    if address is None:
        return False
    own = _ADDRESS.fullmatch(api_url)
    if own is not None and address["origin"] == own["origin"]:
        return True
    host = address["host"]
    known = host == HOST or host.endswith(DOMAINS)
    return known and address["scheme"] == "https" and address["port"] in (None, ":443")
