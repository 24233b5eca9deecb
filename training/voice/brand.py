"""The voice of a configured brand: learnt from its conversations when needed, kept in the state folder."""

from __future__ import annotations

import contextlib

from configs.brand import Brand
from configs.home import Home
from configs.whole_file import replace_text
from training.conversations import AssistantMessage, read_conversations
from training.errors import VoiceUnlearnable
from training.voice.model import Text, VoiceModel, inputs_sha256, learn, read_model


def voice_of(brand: Brand, home: Home) -> VoiceModel:
    """The model of a brand: the kept one where what it was learnt from is unchanged, else a new one, kept.

    A state folder that cannot be written costs a second each time, no more.

    Raises:
        DataInvalid: The conversations cannot be read.
        VoiceUnlearnable: The brand has none, or too few.
    """
    texts = texts_of(brand)
    guide = brand.voice_guide.read_text(encoding="utf-8", errors="replace")
    terms, pages = (brand.name, brand.display_name), page_texts(brand)
    path = home.voices / f"{brand.name}.json"
    kept = read_model(path, inputs_sha256(texts, guide=guide, brand_terms=terms, pages=pages))
    if kept is not None:
        return kept
    model = learn(texts, guide=guide, brand_terms=terms, pages=pages)
    with contextlib.suppress(OSError):
        replace_text(path, model.model_dump_json(by_alias=True))
    return model


def texts_of(brand: Brand) -> list[Text]:
    """The brand's own replies, each with its conversation; what a model wrote is nobody's voice, approved or not.

    Raises:
        DataInvalid: They cannot be read.
        VoiceUnlearnable: The brand names no conversations.
    """
    if brand.conversations is None:
        raise VoiceUnlearnable(
            f"the brand {brand.name!r} names no conversations to learn its voice from; "
            f"set `conversations` in configs/brands/{brand.name}.yaml"
        )
    return [
        Text(content=message.content, group=conversation.id)
        for conversation in read_conversations(brand.conversations)
        if conversation.synthetic is None
        for message in conversation.messages
        if isinstance(message, AssistantMessage)
    ]


def page_texts(brand: Brand) -> list[str]:
    """The brand's Markdown and text pages; other formats would need a parser, and the names of files few words."""
    return [
        path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(brand.pages.rglob("*"))
        if path.suffix.lower() in {".md", ".txt"} and path.is_file()
    ]
