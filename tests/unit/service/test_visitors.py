"""Who opens a chat of the widget: tokens of visitors, and identities that a brand's site signed."""

from __future__ import annotations

import hashlib
import hmac
import stat
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from configs.errors import ConfigError
from configs.home import Home
from configs.load import Config
from configs.service import Secret
from configs.service import Visitors as Settings
from service.conversation.visitors import Visitors
from service.errors import AccessDenied
from tests.unit.service import standing
from tests.unit.service.fake_engines import FakeEngine, running
from tests.unit.service.standing import QUESTION, SITE_KEY, furnish, visiting

KEY = "k" * 32
SECRET = "s" * 32
DAY_S = 24 * 3600


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def visitors(clock: Clock | None = None, keys: str = KEY) -> Visitors:
    return Visitors(keys, token_hours=24, identity={"velmora": SECRET}, clock=clock or Clock())


def signed(user_id: str, secret: str = SECRET) -> dict[str, str]:
    return {"user_id": user_id, "hash": hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()}


def test_a_token_opens_its_brand_for_its_time() -> None:
    clock = Clock()
    ours = visitors(clock)
    token = ours.token("velmora", "visitor-1")
    assert ours.visitor("velmora", token) == "visitor-1"
    assert ours.visitor("dicehollow", token) is None
    clock.now += DAY_S - 2
    assert ours.visitor("velmora", token) == "visitor-1"
    clock.now += 4
    assert ours.visitor("velmora", token) is None


@pytest.mark.parametrize("token", [None, "", "visitor-1", "A" * 200, "\ud800"])
def test_what_we_did_not_make_is_no_token(token: str | None) -> None:
    assert visitors().visitor("velmora", token) is None


def test_a_token_of_another_key_or_a_changed_one_opens_nothing() -> None:
    token = visitors().token("velmora", "visitor-1")
    assert visitors(keys="x" * 32).visitor("velmora", token) is None
    assert visitors(keys="x" * 32 + "," + KEY).visitor("velmora", token) == "visitor-1", "an older key is still read"
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    assert visitors().visitor("velmora", changed) is None


def test_a_signed_identity_is_believed() -> None:
    assert visitors().identity("velmora", signed("user-7")) == "user-7"
    upper = signed("user-7")
    upper["hash"] = upper["hash"].upper()
    assert visitors().identity("velmora", upper) == "user-7"


@pytest.mark.parametrize(
    "claim",
    [
        signed("user-7") | {"user_id": "user-8"},
        signed("user-7", "t" * 32),
        {"user_id": "user-7", "hash": ""},
        {"user_id": "user-7"},
        {"user_id": 7, "hash": signed("7")["hash"]},
        {"user_id": "", "hash": signed("")["hash"]},
        {"user_id": "u" * 201, "hash": signed("u" * 201)["hash"]},
        {"user_id": "user-7", "hash": "é\ud800"},
        {"user_id": "\ud800", "hash": "00"},
    ],
)
def test_an_identity_that_is_not_signed_is_not_believed(claim: dict[str, object]) -> None:
    with pytest.raises(AccessDenied):
        visitors().identity("velmora", claim)


def test_a_brand_without_a_secret_believes_nobody() -> None:
    with pytest.raises(AccessDenied, match=r"visitors\.identity"):
        visitors().identity("dicehollow", signed("user-7"))


def test_short_keys_and_secrets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"visitors\.keys"):
        Visitors("short", token_hours=1)
    with pytest.raises(ConfigError, match="velmora"):
        Visitors(KEY, token_hours=1, identity={"velmora": "short"})


def test_a_key_that_is_not_configured_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    token = Visitors.of(Settings(), home, {}).token("velmora", "visitor-1")
    assert Visitors.of(Settings(), home, {}).visitor("velmora", token) == "visitor-1"
    (file,) = home.secrets.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# -------------------------------------------------------------- at the socket


@pytest.fixture
def with_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway whose brand has a secret for identities, and lists one origin."""
    furnish(monkeypatch)
    monkeypatch.setenv("VELMORA_IDENTITY", SECRET)
    plain = standing.configured

    def configured(*words: object, **more: object) -> Config:
        config = plain(*words, **more)  # type: ignore[arg-type]
        settings = Settings(identity={"velmora": Secret(env="VELMORA_IDENTITY")})
        brand = config.brands["velmora"]
        widget = brand.widget.model_copy(update={"origins": ("https://shop.example",)})
        brands = dict(config.brands) | {"velmora": brand.model_copy(update={"widget": widget})}
        return replace(config, service=config.service.model_copy(update={"visitors": settings}), brands=brands)

    monkeypatch.setattr(standing, "configured", configured)


async def hello(url: str, *, origin: str | None = None, **more: object) -> list[dict[str, object]]:
    """What a fresh socket is told until it is welcome or closed."""
    headers = {"Origin": origin} if origin else {}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws/chat", headers=headers) as socket:
        await socket.send_json({"type": "hello", "site_key": SITE_KEY, **more})
        frames: list[dict[str, object]] = []
        async for message in socket:
            frames.append(message.json())
            if frames[-1]["type"] == "welcome":
                return frames
        return [*frames, {"type": "closed", "code": socket.close_code}]


@pytest.mark.usefixtures("with_identity")
async def test_a_conversation_id_alone_opens_nothing_and_a_signed_identity_what_is_its_own(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(engine), standing.standing(tmp_path, engine.url) as (url, gateway):
        async with visiting(url) as visitor:
            await visitor.say(QUESTION, "client-0001")
            await visitor.until("reply")
        mine = visitor.welcome
        (stranger,) = await hello(url, conversation=mine["conversation"])
        (guess,) = await hello(url, conversation=mine["conversation"], visitor="A" * 22)
        (foreign,) = await hello(
            url, conversation=mine["conversation"], visitor=gateway.visitors.token("dicehollow", "x")
        )
        assert mine["conversation"] not in {one["conversation"] for one in (stranger, guess, foreign)}
        known = {"conversation": mine["conversation"], "visitor": mine["visitor"]}
        (back,) = await hello(url, **known)
        assert (back["conversation"], len(back["turns"])) == (mine["conversation"], 1)  # type: ignore[arg-type]

        (bound,) = await hello(url, **known, identity=signed("user-7"))
        assert bound["conversation"] == mine["conversation"]
        shown = await gateway.desk.shown(mine["conversation"])
        assert shown["identity"] == "user-7", "people see who it is"
        (elsewhere,) = await hello(url, identity=signed("user-7"))
        assert elsewhere["conversation"] == mine["conversation"]
        (after_logout,) = await hello(url, **known)
        assert after_logout["conversation"] != mine["conversation"], "now a token alone is not enough"
        told, forged = await hello(url, **known, identity=signed("user-7") | {"user_id": "user-8"})
        assert (told["type"], told["code"]) == ("error", "bad_identity")
        assert forged["conversation"] != mine["conversation"]


@pytest.mark.usefixtures("with_identity")
async def test_a_token_is_renewed_with_each_welcome_and_while_a_page_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with running(engine), standing.standing(tmp_path, engine.url) as (url, gateway):
        async with visiting(url) as visitor:
            await visitor.socket.send_json({"type": "ping"})
            assert "visitor" not in await visitor.until("pong")
        monkeypatch.setattr("service.routes.chat_ws.RENEW_S", -1.0)
        async with visiting(url, visitor.welcome) as again:
            await again.socket.send_json({"type": "ping"})
            renewed = (await again.until("pong"))["visitor"]
        who = {gateway.visitors.visitor("velmora", one) for one in (visitor.welcome["visitor"], renewed)}
        assert len(who) == 1
        assert None not in who
        async with visiting(url, again.welcome | {"visitor": renewed}) as back:
            assert back.welcome["conversation"] == visitor.welcome["conversation"]


@pytest.mark.usefixtures("with_identity")
@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True),
        ("https://shop.example", True),
        ("https://shop.example.evil.example", False),
        ("http://shop.example", False),
        ("https://shop.example:8443", False),
        ("null", False),
    ],
)
async def test_a_socket_opens_to_listed_origins_only(tmp_path: Path, origin: str | None, welcome: bool) -> None:
    engine = FakeEngine()
    async with running(engine), standing.standing(tmp_path, engine.url) as (url, _):
        last = (await hello(url, origin=origin))[-1]
        assert (last["type"], last.get("code")) == (("welcome", None) if welcome else ("closed", 4403))
        own = (await hello(url, origin=url))[-1]
        assert own["type"] == "welcome", "our own pages"
