"""Teams at the gateway's door: its keys are fetched from a loopback server in Microsoft's place."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from channels.base import Channel, Request
from channels.registry import build_channel
from configs.home import Home
from configs.load import load_config
from service.app import create_app
from service.bindings.simulator import simulated_apps
from service.bootstrap import Gateway
from service.conversation.inbox import accept, next_turn
from service.conversation.store import finish
from service.delivery import fetching, outbox
from service.delivery.fetching import AGAIN_AFTER_S, Fetcher
from service.delivery.outbox import OutboxItem
from service.delivery.sending import outside_session, sender
from service.engines.process import free_port
from service.storage.tables import inbox, unbound_events
from tests.patience import PATIENCE_S
from tests.unit.service.doors import Door
from tests.unit.service.storage.support import reply

APP = "00000000-0000-4000-8000-000000000001"
API = "https://smba.trafficmanager.net/teams"
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]


class Seconds:
    """A clock for all that asks: the channel's and the fetcher's."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


class Microsoft:
    """Tells its metadata, its keys and tokens; counts who asks, and can be silent or in trouble."""

    def __init__(self) -> None:
        self.keys = {"k1": KEYS[0]}
        self.calls: Counter[str] = Counter()
        self.trouble = ""
        self.over = threading.Event()

    def answer(self, path: str) -> tuple[int, object]:
        self.calls[path.rsplit("/", 1)[1]] += 1
        if self.trouble == "silent":
            # Then it would be right again: whoever waited so long would take the message.
            self.over.wait(10 * PATIENCE_S)
        elif self.trouble:
            return 503, "trouble"
        if path.endswith("openidconfiguration"):
            return 200, {
                "issuer": "https://api.botframework.com",
                "jwks_uri": "https://login.botframework.com/v1/.well-known/keys",
            }
        if path.endswith("keys"):
            public = [
                {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "endorsements": ["msteams"]}
                for kid, key in self.keys.items()
            ]
            return 200, {"keys": public}
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": "tok"}


@pytest.fixture
def microsoft() -> Iterator[tuple[Microsoft, int]]:
    played = Microsoft()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = played.answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield played, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def rerouted(port: int) -> outbox.Send:
    """Sends what is for Microsoft to the loopback server."""

    async def send(request: Request) -> tuple[int, Mapping[str, str], bytes]:
        _, _, path = request.url.removeprefix("https://").partition("/")
        async with outside_session() as session:
            return await sender(session)(replace(request, url=f"http://127.0.0.1:{port}/{path}"))

    return send


class Bot:
    """A Teams bot without the simulator's key behind the gateway's door, and Microsoft's side of it."""

    def __init__(self, door: Door, microsoft: tuple[Microsoft, int]) -> None:
        self.door, self.clock = door, Seconds()
        self.microsoft, port = microsoft
        channel = build_channel(
            "teams",
            app="main",
            secrets={"app_password": "x"},
            settings={"app_id": APP},
            api_url=API,
            clock=self.clock,
        )
        self.channel = channel
        cast("dict[tuple[str, str], Channel]", door.gateway.channels)["teams", "main"] = channel
        self.at(port)

    def at(self, port: int) -> None:
        """Where Microsoft is."""
        self.door.gateway.fetcher = Fetcher(rerouted(port), clock=self.clock)

    def post(self, *, kid: str = "k1", key: rsa.RSAPrivateKey = KEYS[0], number: int = 1, **changes: object) -> Any:
        account = self.door.binding("teams").account
        body = self.channel.simulate("Hello?", account=account, message_id=str(number), sender="29:p")
        payload = {**json.loads(body), **changes}
        now = int(self.clock())
        claims = {"iss": "https://api.botframework.com", "aud": APP, "nbf": now, "exp": now + 3600, "serviceurl": API}
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})
        return self.door.post("teams", json.dumps(payload).encode(), {"authorization": f"Bearer {token}"})

    @property
    def taken(self) -> int:
        return self.door.count(inbox)


@pytest.fixture
def bot(door: Door, microsoft: tuple[Microsoft, int]) -> Bot:
    return Bot(door, microsoft)


def test_the_first_request_has_the_keys_fetched_and_the_next_ones_do_not(bot: Bot) -> None:
    assert [bot.post(number=number).status_code for number in (1, 2, 3)] == [200, 200, 200]
    assert bot.taken == 3
    assert bot.microsoft.calls == {"openidconfiguration": 1, "keys": 1, "token": 1}


def test_while_microsoft_cannot_be_reached_a_request_is_to_come_again(
    bot: Bot, microsoft: tuple[Microsoft, int]
) -> None:
    bot.at(9)
    answer = bot.post()
    assert (answer.status_code, bot.taken) == (503, 0)
    assert 'brandvoice_webhooks_total{channel="teams",result="not_checked"} 1.0' in bot.door.client.get("/metrics").text
    bot.at(microsoft[1])
    assert (bot.post().status_code, bot.taken) == (200, 1)


def test_microsoft_in_trouble_is_not_asked_again_at_once(bot: Bot) -> None:
    bot.microsoft.trouble = "503"
    assert [bot.post().status_code for _ in range(5)] == [503] * 5
    assert bot.microsoft.calls["openidconfiguration"] == 1
    bot.microsoft.trouble = ""
    bot.clock.now_s += AGAIN_AFTER_S
    assert bot.post().status_code == 200


def test_a_silent_microsoft_is_waited_for_a_limited_time(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LIMIT_S", 0.1)
    bot.microsoft.trouble = "silent"
    assert bot.post().status_code == 503
    bot.microsoft.over.set()


def test_a_forged_token_is_refused_and_fetches_once_in_five_minutes_at_most(bot: Bot) -> None:
    assert bot.post().status_code == 200
    for _ in range(3):
        bot.clock.now_s += 100
        assert [bot.post(key=KEYS[1], kid=f"k{number}").status_code for number in range(2, 12)] == [401] * 10
        assert bot.post(key=KEYS[1]).status_code == 401
    assert bot.microsoft.calls["keys"] == 2
    assert bot.taken == 1


def test_a_key_that_is_new_is_fetched_and_the_request_is_taken(bot: Bot) -> None:
    assert bot.post().status_code == 200
    bot.microsoft.keys = {"k1": KEYS[0], "k2": KEYS[1]}
    bot.clock.now_s += 301
    assert bot.post(number=2, key=KEYS[1], kid="k2").status_code == 200
    assert bot.taken == 2


def test_a_key_that_may_be_new_is_not_refused_while_nobody_can_tell(bot: Bot) -> None:
    assert bot.post().status_code == 200
    bot.clock.now_s += 301
    bot.microsoft.trouble = "503"
    assert bot.post(number=2, key=KEYS[1], kid="k2").status_code == 503
    assert bot.post(number=3).status_code == 200


def test_an_invoke_is_answered_with_its_body(bot: Bot) -> None:
    answer = bot.post(type="invoke", name="signin/failure")
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, "application/json")


def test_a_request_from_nowhere_needs_no_keys_to_be_refused(bot: Bot) -> None:
    assert bot.door.post("teams", b"{}", {}).status_code == 401
    assert bot.door.post("teams", b"\xff", {"authorization": "Bearer a.b.c"}).status_code == 401
    assert not bot.microsoft.calls
    assert bot.door.count(unbound_events) == 0


async def test_a_reply_of_the_gateways_own_gets_its_token_and_reaches_the_simulator(home: Home) -> None:
    """All of it wired as in a deployment: housekeeping, fetcher, sign-in, Connector."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = load_config(Path("configs"), {"BRANDVOICE_SERVICE__SIMULATOR": "true", "BRANDVOICE_ENGINE__URL": url})
    config = replace(config, service=simulated_apps(config.service, home, url))
    opened: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()
    app = create_app(config, home, opened=opened)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        gateway = await opened
        channel = gateway.channels["teams", "main"]
        body = channel.simulate("Hello?", account="tenant", message_id="1", sender="29:p")
        (message,) = channel.parse(body).messages
        accepted = await accept(gateway.db, "velmora", message)
        turn = await next_turn(gateway.db, accepted.conversation_id)
        assert turn is not None
        item = OutboxItem("teams", "main", "tenant", message.reply_to, "Within **30 days** [1].", ())
        await finish(gateway.db, turn.id, reply(), outbox=item, handoff=None)
        gateway.wake()
        deadline = time.monotonic() + PATIENCE_S
        async with outside_session() as session:
            posted: list[dict[str, Any]] = []
            while not posted and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                async with session.get(f"{url}/simulator/teams/calls") as answer:
                    posted = [call for call in (await answer.json())["calls"] if call["texts"]]
        (call,) = posted
        assert call["texts"] == ["Within **30 days** [1]."]
        assert call["json"]["replyToId"] == "1"
    finally:
        server.should_exit = True
        await serving
