"""Which addresses on the web may be fetched: public ones only (server-side request forgery is closed here).

An address given to `kb add` may come from a person who should not reach what this machine can reach: the metadata
service of a cloud, a database next door, this gateway itself.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

Resolver = Callable[[str, int], Sequence[str]]
PORTS = {"http": 80, "https": 443}
MAX_LENGTH = 2000
_SPACE = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(?<!-)$")
# inet_aton takes 127.1, 0x7f000001, 017700000001 and 2130706433 for 127.0.0.1; no public site is named so.
_NUMERIC = re.compile(r"^(?:0x[0-9a-f]*|\d+)$")
_BLOCKED = tuple(
    ipaddress.ip_network(network)
    for network in (
        # IANA's special-purpose registries for IPv4 and IPv6; `is_global` of Python 3.11 does not know all of them.
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, where clouds keep their metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


class AddressRefused(Exception):
    """An address that is not fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart, with the one IP address that it will be fetched from."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    """Path and query, percent-encoded."""
    ip: str

    @property
    def origin(self) -> str:
        """Scheme and host, with the port where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")


def resolve(host: str, port: int) -> Sequence[str]:
    """The IP addresses of a host, by the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def checked(url: str, resolver: Resolver = resolve, *, loopback: bool = False) -> Target:
    """Take an address apart and resolve it, once.

    Args:
        url: Absolute.
        resolver: Gives the IP addresses of a host.
        loopback: Whether 127.0.0.1 and any port of it are allowed, for tests.

    Raises:
        AddressRefused: It is malformed, or leads to where nothing public lies. Where a name has several addresses, one
            that is not public refuses all.
    """
    scheme, host, port, path = _taken_apart(url, loopback=loopback)
    try:
        found = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"the host {host!r} has no address ({error})") from None
    for ip in found:
        if not _is_public(ip) and not (loopback and ip == "127.0.0.1"):
            raise AddressRefused(f"the host {host!r} leads to {ip}, which is not a public address")
    if not found:
        raise AddressRefused(f"the host {host!r} has no address")
    return Target(url, scheme, host, port, path, found[0])


def _taken_apart(url: str, *, loopback: bool) -> tuple[str, str, int, str]:
    if len(url) > MAX_LENGTH or _SPACE.search(url):
        raise AddressRefused("it holds blanks, control characters or backslashes, or is too long")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressRefused(f"it is not an address ({error})") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise AddressRefused("it begins neither with http:// nor with https://")
    if "@" in parts.netloc:
        raise AddressRefused("it holds a user name")
    host = _host(host)
    if port is None:
        port = PORTS[scheme]
    if port not in PORTS.values() and not (loopback and host == "127.0.0.1"):
        raise AddressRefused(f"port {port} is neither 80 nor 443")
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return scheme, host, port, path + (f"?{quote(parts.query, safe='/?%:@!$&()*+,;=~-._')}" if parts.query else "")


def _host(host: str) -> str:
    """A host in the form that is looked up: small ASCII letters.

    Raises:
        AddressRefused: It is none, or a number in another form than `192.0.2.1`.
    """
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise AddressRefused(f"{host!r} is not an IP address") from None
    try:
        ascii_host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise AddressRefused(f"{host!r} is not the name of a host") from None
    labels = ascii_host.split(".")
    if all(_NUMERIC.match(label) for label in labels):
        try:
            return str(ipaddress.IPv4Address(ascii_host))
        except ValueError:
            raise AddressRefused(f"{host!r} is a number where a name should be") from None
    if not all(_LABEL.match(label) for label in labels) or _NUMERIC.match(labels[-1]):
        raise AddressRefused(f"{host!r} is not the name of a host")
    return ascii_host


def _is_public(ip: str) -> bool:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:  # such as fe80::1%eth0
        return False
    return address.is_global and not any(address in network for network in _BLOCKED)
