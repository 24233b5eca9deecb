"""The exact prompt of a turn, part by part: what each costs in tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import aiohttp
from tokenizers import Tokenizer

from configs.base_manifest import base_folder
from configs.home import Home
from configs.service import ServiceConfig
from retrieval.prompt import GUIDE, LAST_USER

PartName = Literal["system", "guide", "history", "passages", "instruction", "question"]
_GUIDE_MARK = GUIDE.partition("{system}")[2].partition("{guide}")[0]
_PATIENCE = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, slots=True)
class Part:
    """One part; all of them in order are the texts of the prompt's messages, in order."""

    name: PartName
    role: str
    text: str


def parts_of(messages: Sequence[Mapping[str, str]], question: str) -> tuple[Part, ...]:
    """Take a prompt apart.

    Args:
        messages: As `retrieval.prompt` built them and the evidence keeps them.
        question: The customer's message.
    """
    found: list[Part] = []
    for place, one in enumerate(messages):
        role, text = one["role"], one["content"]
        if role == "system":
            system, mark, guide = text.partition(_GUIDE_MARK)
            found += [Part("system", role, system), Part("guide", role, mark + guide)]
        elif place < len(messages) - 1:
            found.append(Part("history", role, text))
        else:
            found += _last(role, text, question.strip())
    return tuple(one for one in found if one.text)


def _last(role: str, text: str, question: str) -> list[Part]:
    """The last message: passages or an instruction, then the question with the word before it."""
    if not question or not text.endswith(question):
        return [Part("instruction", role, text)]
    before = text.removesuffix(question)
    head, gap, label = before.rpartition("\n\n")
    first = LAST_USER["answer"].partition("{sources}")[0]
    return [
        Part("passages" if head.startswith(first) else "instruction", role, head + gap),
        Part("question", role, label + question),
    ]


async def count_tokens(home: Home, settings: ServiceConfig, texts: Sequence[str]) -> list[int] | None:
    """How many tokens of the base model each text has; None where neither its tokenizer nor an engine can be asked.

    Args:
        home: Where base models lie.
        settings: Name the base model, and engines that run elsewhere.
        texts: Each is counted by itself, so that a sum may be a token or two off where parts meet.
    """
    file = base_folder(home.models, settings.models.base) / "tokenizer.json"
    if await asyncio.to_thread(file.is_file):
        return await asyncio.to_thread(_count, file, texts)
    for url in settings.engine.elsewhere:
        try:
            async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
                return [await _ask(session, url, settings.models.base, text) for text in texts]
        except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError):
            continue
    return None


def _count(file: Path, texts: Sequence[str]) -> list[int]:
    encoded = _tokenizer(file, file.stat().st_mtime_ns).encode_batch(list(texts), add_special_tokens=False)
    return [len(one.ids) for one in encoded]


@lru_cache(maxsize=2)
def _tokenizer(file: Path, _changed_ns: int) -> Tokenizer:
    return Tokenizer.from_file(str(file))


async def _ask(session: aiohttp.ClientSession, url: str, model: str, text: str) -> int:
    """What vLLM's `/tokenize` says."""
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    async with session.post(f"{url.rstrip('/')}/tokenize", json=body) as response:
        told: Any = await response.json()
    return int(told["count"])
