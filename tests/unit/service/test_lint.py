"""The voice lint of a person's words: what the command line says, off the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.brand import Brand
from configs.home import Home
from configs.load import load_config
from service.errors import BrandUnknown
from service.people.lint import VoiceLint
from training.voice import kept
from training.voice.brand import voice_of
from training.voice.kept import KeptVoices
from training.voice.model import VoiceModel

BRANDS = load_config(Path("configs"), {}).brands
LIKE = "We regret that an opened item can be returned only if it is faulty. We remain at your service."
UNLIKE = "lol nope!!! u cant send that back dude :D"


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="check") as pool:
        yield pool


async def test_it_says_what_the_command_line_says(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    heard = VoiceLint(BRANDS, KeptVoices(BRANDS, Home(tmp_path)), executor)
    model = voice_of(BRANDS["velmora"], Home(tmp_path))
    for text in (LIKE, UNLIKE, ""):
        found, expected = await heard.hear("velmora", text), model.score(text)
        assert (found.score, found.reasons) == (expected.score, expected.reasons)
    like, unlike = await heard.hear("velmora", LIKE), await heard.hear("velmora", UNLIKE)
    assert like.score is not None and unlike.score is not None
    assert unlike.score < 0.5 < like.score
    with pytest.raises(BrandUnknown):
        await heard.hear("nobody", LIKE)


async def test_a_voice_is_learnt_once_and_never_on_the_loop(
    tmp_path: Path, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []

    def learn(*given: object) -> object:
        where.append(threading.current_thread().name)
        return voice_of(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "voice_of", learn)
    heard = VoiceLint(BRANDS, KeptVoices(BRANDS, Home(tmp_path)), executor)
    await asyncio.gather(*(heard.hear("velmora", LIKE) for _ in range(5)))
    assert len(where) == 1
    assert where[0] != threading.main_thread().name
    assert not where[0].startswith("check"), "learning would hold up the checks of answers"


async def test_a_brand_without_conversations_has_no_score_but_a_reason(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    silent = BRANDS["velmora"].model_copy(update={"conversations": None})
    brands = {"velmora": silent}
    found = await VoiceLint(brands, KeptVoices(brands, Home(tmp_path)), executor).hear("velmora", LIKE)
    assert found.score is None
    assert "names no conversations" in found.reasons[0]


def test_a_voice_is_kept_in_memory_until_one_of_its_files_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = tmp_path / "voice.md"
    guide.write_text("Short sentences.")
    learnt: list[str] = []

    def learn(brand: Brand, home: Home) -> VoiceModel:
        learnt.append(brand.voice_guide.read_text())
        return voice_of(brand, home)

    monkeypatch.setattr(kept, "voice_of", learn)
    voices = KeptVoices({"velmora": BRANDS["velmora"].model_copy(update={"voice_guide": guide})}, Home(tmp_path))
    first = voices.of("velmora")
    assert voices.of("velmora") is first
    guide.write_text("Long sentences, if you please.")
    assert voices.of("velmora") is not first
    assert learnt == ["Short sentences.", "Long sentences, if you please."]
