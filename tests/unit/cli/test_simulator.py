"""The simulator: made-up secrets, a platform's answers, and a reply shown as the platform would get it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from channels.base import OutboundReply, Source
from channels.registry import PLATFORMS
from configs.home import Home
from configs.load import load_config
from configs.secrets import read_secret
from configs.service import ServiceConfig
from service.bindings.apps import open_app
from service.bindings.simulator import simulated_apps
from service.delivery.fetching import Fetcher
from service.delivery.sending import outside_session, sender
from service.engines.process import free_port
from service.routes.simulator import simulator_router
from tests.patience import PATIENCE_S, until
from tests.unit.cli.conftest import Cli

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def simulated(home: Path, url: str = "http://127.0.0.1:8000") -> ServiceConfig:
    service = load_config(CONFIGS, {"BRANDVOICE_SERVICE__SIMULATOR": "true"}).service
    return simulated_apps(service, Home(home), url)


def test_nothing_changes_where_the_simulator_is_off(tmp_path: Path) -> None:
    service = load_config(CONFIGS, {}).service
    assert simulated_apps(service, Home(tmp_path), "http://127.0.0.1:8000") is service
    assert not (tmp_path / "secrets").exists()


def test_every_app_sends_to_the_gateway_itself_with_secrets_of_its_own(tmp_path: Path) -> None:
    secrets: list[str] = []
    for channel, _, app in simulated(tmp_path).apps.each():
        assert app.api_url == f"http://127.0.0.1:8000/simulator/{channel}"
        secrets += [read_secret(secret, {}) for secret in app.secrets().values()]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) >= 32


def test_made_up_secrets_stay_the_same_and_are_for_their_owner_only(tmp_path: Path) -> None:
    def read() -> list[str]:
        return [read_secret(one, {}) for _, _, app in simulated(tmp_path).apps.each() for one in app.secrets().values()]

    assert read() == read()
    files = list((tmp_path / "secrets").iterdir())
    assert len(files) == len(set(read()))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@contextlib.contextmanager
def platform_and_gateway(home: Path, port: int, *, answer: bool = True) -> Iterator[None]:
    """A gateway that only verifies, and replies what it was told, through the recorder."""
    url = f"http://127.0.0.1:{port}"
    apps = {(channel, name): app for channel, name, app in simulated(home, url).apps.each()}
    app = FastAPI()
    app.include_router(simulator_router())

    @app.post("/webhooks/{channel}/{name}")
    async def webhook(channel: str, name: str, request: Request) -> Response:
        platform = open_app(channel, name, apps[channel, name], {})
        async with outside_session() as session:
            await Fetcher(sender(session)).ready(platform)
        body = await request.body()
        platform.verify({key.lower(): value for key, value in request.headers.items()}, body)
        message = platform.parse(body).messages[0]
        if answer:
            text = f"You said {message.text!r} [1]."
            reply = OutboundReply(message.account, message.reply_to, text, "1", (Source(1, "Returns", "returns.md"),))
            async with httpx2.AsyncClient() as client:
                for call in platform.render(reply):
                    got = await client.request(
                        call.method, call.url, headers=dict(call.headers), json=call.json, data=call.form
                    )
                    assert platform.receipt(got.status_code, dict(got.headers), got.content)
        return Response("ok")

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("channel", sorted(PLATFORMS))
def test_a_simulated_message_shows_the_reply_as_the_platform_gets_it(cli: Cli, home: Path, channel: str) -> None:
    port = free_port()
    with platform_and_gateway(home, port):
        url = f"http://127.0.0.1:{port}"
        done = cli("channel", "simulate", channel, "Hello there", "--brand", "velmora", "--url", url, "--json")
    assert done.code == 0, done.err
    assert "You said" in done.json["text"]
    assert "Hello there" in done.json["text"]
    assert len(done.json["calls"]) == 1
    assert "bearer" not in done.out.lower()
    assert done.json["acknowledged_ms"] < 3000


def test_a_reply_that_does_not_come_is_told(cli: Cli, home: Path) -> None:
    port = free_port()
    with platform_and_gateway(home, port, answer=False):
        url = f"http://127.0.0.1:{port}"
        done = cli("channel", "simulate", "slack", "Hi", "--brand", "velmora", "--url", url, "--timeout", "1")
    assert done.code == 1
    assert "no reply came within 1 s" in done.err


@pytest.mark.parametrize("channel", ["line", "twilio"])
def test_the_gateways_own_calls_are_taken_as_json_and_as_forms(home: Path, channel: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    async def reply() -> str:
        binding = next(one for one in load_config(CONFIGS, {}).brands["velmora"].channels if one.channel == channel)
        apps = {(kind, name): app for kind, name, app in simulated(home, url).apps.each()}
        platform = open_app(channel, binding.app, apps[channel, binding.app], {})
        body = platform.simulate("Hi", account=binding.account, message_id="1", sender="+15550100123")
        message = platform.parse(body).messages[0]
        (call,) = platform.render(OutboundReply(message.account, message.reply_to, "é & = 😀", "1"))
        async with outside_session() as session:
            return platform.receipt(*await sender(session)(call))

    with platform_and_gateway(home, port), httpx2.Client(base_url=url) as client:
        assert asyncio.run(reply())
        calls = client.get(f"/simulator/{channel}/calls").json()["calls"]
        assert [call["texts"] for call in calls] == [["é & = 😀"]]


def test_the_recorder_keeps_no_header_and_refuses_what_is_no_json(home: Path) -> None:
    port = free_port()
    with platform_and_gateway(home, port), httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
        headers = {"authorization": "Bearer secret"}
        sent = client.post("/simulator/slack/chat.postMessage", json={"channel": "D1", "text": "x"}, headers=headers)
        assert sent.json()["ok"] is True
        recorded = client.get("/simulator/slack/calls").json()
        assert [call["json"]["text"] for call in recorded["calls"]] == ["x"]
        assert "secret" not in json.dumps(recorded)
        assert client.get("/simulator/slack/calls", params={"since": recorded["last"]}).json()["calls"] == []
        assert client.post("/simulator/slack/x", content=b"no").status_code == 400
        assert client.post("/simulator/pigeon/x", json={}).status_code == 404
