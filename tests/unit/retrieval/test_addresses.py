"""Which addresses may be fetched: sixty forms of asking for what is not public, and all are refused."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from retrieval.documents.addresses import AddressRefused, checked

PUBLIC = "93.184.215.14"
NAMES = {
    "shop.example": [PUBLIC],
    "xn--bcher-kva.example": [PUBLIC],
    "six.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "localhost": ["127.0.0.1"],
    "inside.example": ["10.1.2.3"],
    "both.example": [PUBLIC, "192.168.0.9"],
    "six-inside.example": ["fd00::1"],
    "scoped.example": ["fe80::1%eth0"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "nat64.example": ["64:ff9b::a00:1"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "metadata": ["169.254.169.254"],
}


def names(host: str, _port: int) -> Sequence[str]:
    """A resolver that also takes numbers, in the loose forms that the system's takes."""
    if host in NAMES:
        return NAMES[host]
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        pass
    if ":" in host:
        return [host]
    raise OSError("no such host")


BLOCKED = [
    # 127.0.0.1, as one writes it and as inet_aton reads it
    "http://127.0.0.1/",
    "https://127.0.0.1:443/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7F.0x0.0x0.0x1/",
    "http://127.0.0.1./",
    "http://127.000.000.001/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://127.0.0.1%00.shop.example/",
    "http://0/",
    "http://0.0.0.0/",
    # other networks that are not public
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://100.64.0.1/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://192.88.99.1/",
    "http://203.0.113.7/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    # IPv6 and what is inside it
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:53aa:64c:0:0:80ff:fffe]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    # names that lead inside
    "http://localhost/",
    "http://LOCALHOST./",
    "http://inside.example/",
    "http://both.example/",
    "http://six-inside.example/",
    "http://scoped.example/",
    "http://mapped.example/",
    "http://nat64.example/",
    "http://127.0.0.1.nip.example/",
    "http://metadata/computeMetadata/v1/",
    # other schemes, ports, users, and addresses that readers take apart differently
    "file:///etc/passwd",
    "ftp://shop.example/",
    "gopher://shop.example/",
    "http://shop.example:22/",
    "http://shop.example:8000/",
    "http://shop.example:0/",
    "http://shop.example:99999/",
    "http://user@shop.example/",
    "http://shop.example@127.0.0.1/",
    "http://127.0.0.1#@shop.example/",
    "http://shop.example\\@127.0.0.1/",
    "http://127.0.0.1\\.shop.example/",
    "http://shop.example\t/",
    "http://shop.example/a b",
    "http://shop.example/\r\nHost: inside",
    "http:///etc/passwd",
    "http://",
    "http://[::1/",
    "http://-shop.example/",
    "http://shop..example/",
    "http://unknown.example/",
    "http://" + "a" * 64 + ".example/",
    "http://shop.example/" + "a" * 3000,
]


@pytest.mark.parametrize("url", BLOCKED)
def test_what_is_not_a_public_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        checked(url, names)


def test_the_table_has_the_sixty_forms_that_the_design_asks_for() -> None:
    assert len(set(BLOCKED)) >= 60


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "ip"),
    [
        ("http://shop.example", "shop.example", 80, "/", PUBLIC),
        ("HTTPS://Shop.Example./A?b=c#d", "shop.example", 443, "/A?b=c", PUBLIC),
        ("https://shop.example:80/", "shop.example", 80, "/", PUBLIC),
        (
            "https://b\u00fccher.example/\u00fc?q=\u00fc%20a",
            "xn--bcher-kva.example",
            443,
            "/%C3%BC?q=%C3%BC%20a",
            PUBLIC,
        ),
        (f"http://{PUBLIC}/", PUBLIC, 80, "/", PUBLIC),
        ("https://six.example/", "six.example", 443, "/", NAMES["six.example"][0]),
        ("http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", NAMES["six.example"][0], 80, "/", NAMES["six.example"][0]),
    ],
)
def test_a_public_address_is_taken_apart(url: str, host: str, port: int, path: str, ip: str) -> None:
    target = checked(url, names)
    assert (target.host, target.port, target.path, target.ip) == (host, port, path, ip)


def test_loopback_is_open_to_tests_and_nothing_else_with_it() -> None:
    assert checked("http://127.0.0.1:8123/", names, loopback=True).port == 8123
    for url in ("http://10.0.0.1/", "http://[::1]/", "http://2130706433/", "http://shop.example:8123/"):
        with pytest.raises(AddressRefused):
            checked(url, names, loopback=True)
