"""Score replies to held-out questions: voice, right answers, sentences that stand in the passages.

Replies come from a model in memory (`generate`) or from anything that completes messages, such as a running engine
(`complete_all`); what is measured is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from retrieval.passages import Passage
from retrieval.prompt import Message
from training.conversations import AssistantMessage, Conversation
from training.examples.rendering import Probe
from training.voice import VoiceClassifier, mask

Complete = Callable[[Sequence[Message]], str]
SentenceCheck = Callable[[str, Sequence[Passage], str], bool]
"""(sentence, passages, question) -> whether it may be said."""
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Judge:
    """What the replies of one brand are measured against."""

    brand: str
    classifier: VoiceClassifier | None
    """Trained on the masked replies of all brands; None leaves the voice out."""
    brand_terms: tuple[str, ...]
    """Names of all brands, hidden before the voice is told."""
    check: SentenceCheck | None = None
    """Such as one made of `retrieval.grounding.check`; numbers alone are compared where absent."""


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], *, max_new_tokens: int = 120, batch: int = 16
) -> list[str]:
    """Greedy replies of a transformers model, as service samples them (repetition penalty 1.05).

    Args:
        model: In evaluation mode.
        tokenizer: With a chat template.
        prompts: Messages of each prompt.
        max_new_tokens: Longest reply, in tokens.
        batch: Prompts at a time.
    """
    import torch

    tokenizer.padding_side = "left"
    replies: list[str] = []
    for start in range(0, len(prompts), batch):
        texts = [
            tokenizer.apply_chat_template(
                [{"role": one.role, "content": one.content} for one in prompt],
                tokenize=False,
                add_generation_prompt=True,
            )
            for prompt in prompts[start : start + batch]
        ]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
        with torch.no_grad():
            out = model.generate(
                **inputs, max_new_tokens=max_new_tokens, do_sample=False, repetition_penalty=1.05, use_cache=True
            )
        made = out[:, inputs["input_ids"].shape[1] :]
        replies.extend(text.strip() for text in tokenizer.batch_decode(made, skip_special_tokens=True))
    return replies


def complete_all(complete: Complete, prompts: Sequence[Sequence[Message]]) -> list[str]:
    """Replies of anything that completes messages, one after the other."""
    return [complete(prompt).strip() for prompt in prompts]


def score(probes: Sequence[Probe], replies: Sequence[str], judge: Judge) -> dict[str, float | int]:
    """Metrics for the manifest.

    Args:
        probes: Held-out questions of one brand.
        replies: One for each probe, in the same order.
        judge: The brand's.

    Returns:
        `questions`; `answer_hit`: of the answerable questions whose page was found, how many replies hold all of
        `answer_contains`; `grounded`: mean share of sentences that may be said; `voice_accuracy`: share of replies
        told to be this brand's; `reply_words`: mean length. A metric without a case is left out.
    """
    pairs = list(zip(probes, replies, strict=True))
    answers = [(probe, reply) for probe, reply in pairs if probe.kind == "answer"]
    hits = [
        all(part.lower() in reply.lower() for part in probe.answer_contains)
        for probe, reply in answers
        if probe.answer_contains and probe.document in {passage.document for passage in probe.passages}
    ]
    metrics: dict[str, float | int] = {"questions": len(pairs)}
    if hits:
        metrics["answer_hit"] = round(mean(hits), 4)
    if answers:
        metrics["grounded"] = round(mean(_grounded(probe, reply, judge.check) for probe, reply in answers), 4)
    if judge.classifier is not None and pairs:
        told = [
            judge.classifier.tell(_masked(probe, reply, judge.brand_terms)) == judge.brand for probe, reply in pairs
        ]
        metrics["voice_accuracy"] = round(mean(told), 4)
    if pairs:
        metrics["reply_words"] = round(mean(len(reply.split()) for _, reply in pairs), 1)
    return metrics


def masked_replies(
    conversations: Sequence[Conversation],
    pages: Mapping[str, str],
    brand_terms: Sequence[str],
    *,
    shared_only: bool = False,
) -> list[str]:
    """A brand's own replies, masked by the pages that each rests on.

    Args:
        conversations: Of one brand.
        pages: Text of each page, by document.
        brand_terms: Names of all brands.
        shared_only: Only conversations about policies that all brands share.
    """
    return [
        mask(message.content, brand_terms=brand_terms, passages=[pages.get(one, "") for one in message.documents])
        for conversation in conversations
        if conversation.shared_policy or not shared_only
        for message in conversation.messages
        if isinstance(message, AssistantMessage)
    ]


def numbers_stand(sentence: str, passages: Sequence[Passage], question: str) -> bool:
    """Whether one passage, or the question, holds all numbers of a sentence."""
    numbers = set(NUMBER.findall(sentence))
    texts = [f"{passage.title} {passage.heading} {passage.text}" for passage in passages]
    return not numbers or any(numbers <= set(NUMBER.findall(f"{text} {question}")) for text in texts)


def _grounded(probe: Probe, reply: str, check: SentenceCheck | None) -> float:
    sentences = [one for one in SENTENCE_END.split(reply) if one.strip()]
    allowed = check or numbers_stand
    return mean(allowed(one, probe.passages, probe.question) for one in sentences) if sentences else 0.0


def _masked(probe: Probe, reply: str, brand_terms: Sequence[str]) -> str:
    return mask(
        reply, brand_terms=brand_terms, passages=[probe.question, *(passage.text for passage in probe.passages)]
    )
