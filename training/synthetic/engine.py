"""Any model behind the chat completions of OpenAI: asked over HTTP, with patience where the server asks for it.

Sources: https://platform.openai.com/docs/api-reference/chat/create; `Retry-After`: RFC 9110, 10.2.3.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx2

from training.errors import EngineFailed

KEY_VARIABLE = "BRANDVOICE_SYNTHESIS_API_KEY"
TIMEOUT_S = 300.0
"""A model on a CPU takes a minute for a long reply."""
TRIES = 4
WAITS_S = (1.0, 2.0, 4.0)
"""Between tries, where the server names no time."""
MAX_WAIT_S = 600.0
"""A server that asks for more is asked again by a person."""
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""
_SPARED: Mapping[str, str | None] = {"max_tokens": "max_completion_tokens", "seed": None, "temperature": None}
"""Parameters that some servers refuse, and what stands for each there."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said."""

    text: str
    cut: bool
    """It had more to say than it was given tokens for."""


class ChatEngine:
    """One model at one address; safe for several threads, to be used in a `with`."""

    def __init__(
        self, url: str, *, api_key: str | None = None, sleep: Callable[[float], None] = time.sleep, waited: int = TRIES
    ) -> None:
        """Ask nothing yet.

        Args:
            url: With its path, such as `https://host/v1`; `/v1` is added where it has none.
            api_key: Sent as a bearer token.
            sleep: Waits, in seconds.
            waited: Tries of one request, at least 1.

        Raises:
            EngineFailed: The address is none, or the key.
        """
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise EngineFailed(f"{url!r} is no address ({error}); name one such as http://127.0.0.1:8001/v1") from error
        if address.scheme not in ("http", "https") or not address.host:
            raise EngineFailed(f"{url!r} is no address; name one such as http://127.0.0.1:8001/v1")
        self.url = str(address).rstrip("/") if address.path.strip("/") else f"{str(address).rstrip('/')}/v1"
        key = (api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            # Said here, because the client's own message would show the key.
            raise EngineFailed(f"{KEY_VARIABLE} holds something that is no key; copy it again, without quotes")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Proxies of the environment are for other machines than this one.
        self._client = httpx2.Client(headers=headers, timeout=TIMEOUT_S, trust_env=not _is_here(address.host))
        self._sleep = sleep
        self._tries = waited
        self._renamed: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def models(self) -> tuple[str, ...]:
        """Names of the models that the server has; empty where it does not say.

        Raises:
            EngineFailed: Nothing answers, or it refuses.
        """
        answer = self._send("GET", "/models", tries=1)
        if answer.status_code in (401, 403):
            raise EngineFailed(self._refused(answer))
        try:
            held = answer.json()["data"]
            return tuple(str(one["id"]) for one in held)
        except (ValueError, KeyError, TypeError):
            return ()

    def complete(
        self, messages: Sequence[Mapping[str, str]], *, model: str, seed: int, temperature: float, max_tokens: int
    ) -> str:
        """The text of `reply`, which says what is needed and raised."""
        return self.reply(messages, model=model, seed=seed, temperature=temperature, max_tokens=max_tokens).text

    def reply(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        model: str,
        seed: int,
        temperature: float,
        max_tokens: int,
        top_p: float | None = None,
    ) -> Reply:
        """What the model says; empty where it says nothing.

        Args:
            messages: `role` and `content` of each, oldest first.
            model: Its name at the server.
            seed: The same one gives the same text, where the server can do that.
            temperature: 0 takes the likeliest token each time.
            max_tokens: Longest reply.
            top_p: Share of the likelihood that tokens are drawn from; the server's own where absent.

        Raises:
            EngineFailed: Nothing answers, it refuses, or what answers speaks another language.
        """
        body = {
            "model": model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
        } | ({} if top_p is None else {"top_p": top_p})
        answer = self._send("POST", "/chat/completions", sent := self._spared(body))
        while answer.status_code == 400 and self._learn(answer.text, sent):
            answer = self._send("POST", "/chat/completions", sent := self._spared(body))
        if not answer.is_success:
            raise EngineFailed(self._refused(answer))
        try:
            choice = answer.json()["choices"][0]
            said, cut = choice["message"]["content"], choice.get("finish_reason") == "length"
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise EngineFailed(
                f"{self.url} answers, but not as the chat completions of OpenAI: {_shown(answer.text)}; "
                "name the address that ends before /chat/completions"
            ) from error
        # Half of a surrogate pair can be said in JSON and not be written to a file.
        return Reply(said.encode(errors="replace").decode() if isinstance(said, str) else "", cut)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, tries: int | None = None
    ) -> httpx2.Response:
        """An answer that waiting would not change."""
        left = tries or self._tries
        while True:
            left -= 1
            pause = WAITS_S[max(0, min(len(WAITS_S) - 1, self._tries - 1 - left))]
            try:
                answer = self._client.request(method, f"{self.url}{path}", json=body)
            except (httpx2.HTTPError, RuntimeError) as error:
                # A client that another thread has closed raises RuntimeError.
                if not left or isinstance(error, RuntimeError):
                    raise EngineFailed(
                        f"no model answers at {self.url} ({type(error).__name__}: {error}); "
                        "start it, then run the same command again: it goes on where it stopped"
                    ) from error
            else:
                if answer.status_code not in BUSY:
                    return answer
                asked = retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
                if not left or (asked or 0.0) > MAX_WAIT_S:
                    raise EngineFailed(self._refused(answer, asked))
                pause = pause if asked is None else asked
            self._sleep(pause)

    def _spared(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request without what the server refused before."""
        named = {key: self._renamed.get(key, key) for key in body}
        return {name: body[key] for key, name in named.items() if name is not None}

    def _learn(self, refusal: str, sent: Mapping[str, Any]) -> bool:
        """Whether a refusal names a parameter that was sent and can be spared."""
        for name, other in _SPARED.items():
            if name in sent and f"'{name}'" in refusal.replace('"', "'").replace("`", "'"):
                self._renamed[name] = other
                return True
        return False

    def _refused(self, answer: httpx2.Response, asked: float | None = None) -> str:
        said = _shown(_message(answer))
        known = {
            401: f"put the key into {KEY_VARIABLE}",
            403: f"put a key that may do this into {KEY_VARIABLE}",
            404: "name a model that the server has with --model, and the address that ends before /chat/completions",
        }
        advice = known.get(answer.status_code, "look into the server's log, then run the same command again")
        if answer.status_code == 429 or asked is not None:
            wait = f"in {asked:.0f} s" if asked is not None else "later"
            advice = f"run the same command again {wait}: it goes on where it stopped"
        return f"{self.url} refuses with {answer.status_code}: {said}; {advice}"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` asks for, given in seconds or as a date; None where it says nothing."""
    if value is None:
        return None
    with suppress(ValueError):
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else None
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    return None


def _message(answer: httpx2.Response) -> str:
    with suppress(ValueError, KeyError, TypeError):
        error = answer.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    return answer.text


def _shown(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 160 else f"{plain[:157]}..."


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False
