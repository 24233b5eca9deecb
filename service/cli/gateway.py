"""The command line's way to a running gateway."""

from __future__ import annotations

import os
from typing import Any, Self

import httpx2

from configs.load import Config
from service.cli.failures import FAILED, REFUSED, WRONG_USE, Failure

TIMEOUT_S = 180.0
GOOD = ("ok", "ready", "closed")
"""What `/readyz` says of a part that serves."""


class NotRunning(Failure):
    """Nothing listens at the address."""


class Gateway:
    """Calls one gateway; to be closed, or used in a `with`."""

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Proxies of the environment are for other hosts than a gateway of our own.
        self._client = httpx2.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=False)

    @classmethod
    def of(cls, config: Config, url: str | None) -> Gateway:
        """The gateway at `url`, else at `BRANDVOICE_URL`, else where the configuration says."""
        named = url or os.environ.get("BRANDVOICE_URL") or address(config)
        return cls(named, api_key=os.environ.get("BRANDVOICE_API_KEY"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        """GET JSON."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: object) -> Any:
        """POST JSON; None where the answer has no body."""
        return self._call("POST", path, json=body)

    def deliver(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """POST raw bytes, as a platform does; status and text of the answer."""
        answer = self._send("POST", path, content=body, headers=headers)
        return answer.status_code, answer.text

    def alive(self) -> bool:
        """Whether a gateway of ours answers there."""
        try:
            return bool(self._client.get("/livez", timeout=3).json() == {"status": "ok"})
        except (httpx2.HTTPError, ValueError):
            return False

    def lacking(self) -> str:
        """What keeps it from serving, such as `engine down, breaker open`; empty where nothing does."""
        body = self._send("GET", "/readyz").json()
        if body["status"] == "ok":
            return ""
        return ", ".join(f"{name} {state}" for name, state in body["checks"].items() if state not in GOOD)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        answer = self._send(method, path, **options)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_success and (body is not None or not answer.content):
            return body
        raise _refusal(answer.status_code, body, self.url)

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return self._client.request(method, path, **options)
        except httpx2.ConnectError as error:
            raise NotRunning(
                f"no gateway answers at {self.url}",
                "nothing listens there",
                "start one with `brandvoice demo` or `brandvoice serve`, or name another with --url",
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failure(
                f"the gateway at {self.url} could not be asked",
                f"{type(error).__name__}: {error}",
                "look whether it runs: `brandvoice doctor`",
            ) from error


def address(config: Config) -> str:
    """Where the configuration's gateway is reached from this machine."""
    service = config.service.service
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(service.host, service.host)  # noqa: S104 - read, not bound
    return f"http://{host}:{service.port}"


def _refusal(status: int, body: Any, url: str) -> Failure:
    error = body.get("error") if isinstance(body, dict) else None
    message = str(error.get("message")) if isinstance(error, dict) else f"HTTP {status}"
    cures = {
        400: ("change the request as it says", WRONG_USE),
        401: ("put the key into BRANDVOICE_API_KEY", REFUSED),
        404: ("`brandvoice config show` and `brandvoice adapter list` name what there is", WRONG_USE),
        429: ("try again in some seconds", FAILED),
        503: ("wait until the engine is ready; `brandvoice doctor` looks at it", FAILED),
        504: ("try again, or raise service.turn_deadline_s", FAILED),
    }
    if isinstance(error, dict) and error.get("code") == "taken_by_another":
        cures[status] = ("take it from them with --force", REFUSED)
    cure, code = cures.get(status, ("look into the gateway's log", FAILED))
    return Failure(f"the gateway at {url} did not do it", message, cure, code=code)
