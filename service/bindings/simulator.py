"""Stand in for the platforms on this machine: apps that sign with made-up secrets and send to the gateway itself."""

from __future__ import annotations

import secrets

from channels.registry import PLATFORMS
from configs.home import Home
from configs.secrets import secret_file
from configs.service import App, Secret, ServiceConfig

PATH = "/simulator"


def simulated_apps(config: ServiceConfig, home: Home, base_url: str) -> ServiceConfig:
    """The configuration with every app turned to the simulator.

    The platforms' own secrets are never used here: whoever simulates knows the made-up ones, and a real token must
    not travel to a stand-in.

    Args:
        config: As configured; returned as it is where the simulator is off.
        home: Keeps the made-up secrets, readable for their owner only.
        base_url: The gateway's own address.
    """
    if not config.service.simulator:
        return config
    apps = config.apps
    turned = {
        channel: {name: _turned(app, channel, name, home, base_url) for name, app in named.items()}
        for channel, named in apps
    }
    return config.model_copy(update={"apps": apps.model_copy(update=turned)})


def _turned(app: App, channel: str, name: str, home: Home, base_url: str) -> App:
    made_up = PLATFORMS[channel].stand_in.made_up
    made = {
        key: Secret(file=secret_file(home, f"{channel}-{name}-{key}", made_up.get(key, _any_word)))
        for key in (*app.secrets(), *made_up)
    }
    return app.model_copy(update={**made, "api_url": f"{base_url.rstrip('/')}{PATH}/{channel}"})


def _any_word() -> str:
    return secrets.token_urlsafe(32)
