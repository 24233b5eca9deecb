"""`brandvoice channel install-link`: an address at which a workspace installs an app for one brand."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from configs.errors import ConfigError
from configs.secrets import read_secret
from service.bindings.install_links import Link, make_link
from service.bindings.installations import BINDINGS
from service.cli import output
from service.cli.channels import check_name
from service.cli.deployment import open_deployment
from service.cli.failures import WRONG_USE, Failure
from service.sealing import Sealer

DAY_S = 86_400.0


def run_install_link(name: str, brand: str, *, url: str | None, days: float, as_json: bool) -> None:
    """Print the link."""
    deployment = open_deployment()
    channel, _, app = name.partition("/")
    check_name(channel)
    deployment.brand(brand)
    apps = {(kind, one) for kind, one, _ in deployment.config.service.apps.each()}
    if channel not in BINDINGS or (channel, app) not in apps:
        of_these = sorted("/".join(one) for one in apps if one[0] in BINDINGS)
        raise Failure(
            f"there is no app {name!r} that accounts install themselves",
            f"configs/service.yaml names {', '.join(of_these) or 'none'}",
            "write it as slack/main",
            code=WRONG_USE,
        )
    secret = deployment.config.service.installations.keys
    try:
        sealer = Sealer.of(read_secret(secret, os.environ) if secret else "")
    except ConfigError as error:
        raise Failure(
            "no link can be made",
            str(error),
            "name a variable there, such as `keys: {env: BRANDVOICE_INSTALLATION_KEYS}`, and set it to the output of "
            "`openssl rand -hex 32`; the gateway needs the same",
            code=WRONG_USE,
        ) from error
    until_s = time.time() + days * DAY_S
    sealed = make_link(sealer, Link(channel, app, brand), until_s=until_s)
    settings = deployment.config.service.service
    base = (url or f"http://{settings.host}:{settings.port}").rstrip("/")
    link = f"{base}/install/{channel}/{app}?link={sealed}"
    until = datetime.fromtimestamp(until_s, UTC).isoformat(timespec="minutes")
    if as_json:
        output.data({"url": link, "channel": channel, "app": app, "brand": brand, "until": until})
        return
    output.line(link)
    output.note(f"whoever has this link can have {brand} answer in a workspace of theirs, until {until}")
