"""Pairs of a made question and the passage that answers it, from a brand's own pages; equal pages give equal pairs.

A heading asks for its section; a question of a FAQ and every other sentence, some of its words left out or said in
another way, ask for the section without that sentence (inverse cloze). Pages are split first: what is asked about the
pages kept out was never trained on.

Source: Lee, Chang, Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question Answering", ACL 2019
(inverse cloze).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from configs.training import Pairs
from retrieval.documents.splitting import searchable, split
from retrieval.encoder import Encoder
from retrieval.evaluation.question_sets import Asked
from retrieval.language.sentences import split_sentences
from retrieval.language.words import STOPWORDS, other_words, words
from retrieval.passages import Chunk, Document

MIN_WORDS = 4
"""Topic words of a sentence that can stand for a question."""
MIN_REST = 40
"""Characters that a passage must still have without the sentence."""
REWORDED = 0.5
"""Share of the words with other words for them that are said in another way."""


_MARK = re.compile(r"^(?:[-*+]|\d{1,3}[.)])\s+")
"""Of an entry of a list."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, the passage that answers it, and passages that do not."""

    question: str
    passage: str
    """As it is embedded, less what the question was made of."""
    chunk: str
    """Id of the passage's chunk: two pairs of one chunk are no negatives of each other."""
    rule: str
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Questions about the pages that are not trained on, and all pages as these are searched."""

    documents: tuple[Document, ...]
    """Every page; of those kept out, without the sentences that are asked."""
    questions: tuple[Asked, ...]


def split_pages(documents: Sequence[Document], pairs: Pairs) -> tuple[tuple[Document, ...], tuple[Document, ...]]:
    """Pages to train on, and pages kept out; which page goes where depends on its name and the seed."""
    order = sorted(documents, key=lambda one: hashlib.sha256(f"{pairs.seed}/{one.id}".encode()).digest())
    count = math.ceil(pairs.kept_out * len(order))
    out = {one.id for one in order[:count]}
    return tuple(one for one in documents if one.id not in out), tuple(one for one in documents if one.id in out)


def make_pairs(documents: Iterable[Document], pairs: Pairs) -> tuple[Pair, ...]:
    """All pairs of these pages, without negatives, each question once, at most as many as wanted."""
    found = [pair for document in documents for chunk in split(document) for pair in _of_chunk(chunk, pairs)]
    unique = list({(one.question.casefold(), one.chunk): one for one in found}.values())
    random.Random(pairs.seed).shuffle(unique)  # noqa: S311
    return tuple(unique[: pairs.max_pairs])


def with_negatives(
    made: Sequence[Pair], documents: Iterable[Document], encoder: Encoder, count: int
) -> tuple[Pair, ...]:
    """To each pair the passages of other pages that the encoder finds nearest to its question.

    Args:
        made: The pairs.
        documents: The pages that they were made of; no page kept out.
        encoder: That the training starts from.
        count: Negatives for each pair; fewer where there are fewer.
    """
    chunks = [chunk for document in documents for chunk in split(document)]
    if not count or not made:
        return tuple(made)
    texts = [searchable(one) for one in chunks]
    vectors = encoder.encode_documents(texts)
    page_of = {one.id: one.document for one in chunks}
    found = []
    for pair in made:
        order = np.argsort(-(vectors @ encoder.encode_query(pair.question)), kind="stable")
        others = (int(at) for at in order if chunks[at].document != page_of[pair.chunk])
        found.append(replace(pair, negatives=tuple(texts[at] for at, _ in zip(others, range(count), strict=False))))
    # The loss wants rows of one length: where a brand has one page, there are no negatives at all.
    least = min(len(one.negatives) for one in found)
    return tuple(replace(one, negatives=one.negatives[:least]) for one in found)


def ask_about(documents: Sequence[Document], kept_out: Sequence[Document], pairs: Pairs) -> tuple[KeptOut, KeptOut]:
    """Every sentence of the pages kept out, as a question; in two halves, each asked with the other still there."""
    out = {one.id for one in kept_out}
    return _half(documents, out, pairs, 0), _half(documents, out, pairs, 1)


def _half(documents: Sequence[Document], out: set[str], pairs: Pairs, half: int) -> KeptOut:
    questions: list[Asked] = []
    searched: list[Document] = []
    for document in documents:
        cuts: list[tuple[int, int]] = []
        for chunk in split(document) if document.id in out else ():
            for start, sentence in _every_second(chunk, half, after=cuts[-1][1] if cuts else 0):
                questions.append(Asked(_asked(sentence, pairs, f"{document.id}/{start}"), (), (document.id,), True))
                cuts.append((start, start + len(sentence)))
        searched.append(_without(document, cuts))
    return KeptOut(tuple(searched), tuple(questions))


def digest(values: Iterable[object]) -> str:
    """Digest over dataclasses, in their order."""
    state = hashlib.sha256()
    for one in values:
        state.update(json.dumps(asdict(one), sort_keys=True, default=str).encode() + b"\n")  # type: ignore[call-overload]
    return state.hexdigest()


def batches(made: Sequence[Pair], size: int, epochs: int, seed: int) -> list[list[int]]:
    """Places of the pairs of each step: no two of one chunk in a step, each pair at most once an epoch.

    What is left of an epoch when fewer than half a batch of chunks is left is not trained on: a pair that has few
    others beside it is an easy one.
    """
    steps: list[list[int]] = []
    for epoch in range(epochs):
        left = list(range(len(made)))
        random.Random(f"{seed}/{epoch}").shuffle(left)  # noqa: S311
        while left:
            step: list[int] = []
            seen: set[str] = set()
            rest: list[int] = []
            for at in left:
                if len(step) < size and made[at].chunk not in seen:
                    step.append(at)
                    seen.add(made[at].chunk)
                else:
                    rest.append(at)
            if len(step) < max(2, size // 2):
                break
            steps.append(step)
            left = rest
    return steps


def _of_chunk(chunk: Chunk, pairs: Pairs) -> Iterator[Pair]:
    last = chunk.heading.rsplit(" > ", 1)[-1]
    if last and last != chunk.title:
        # Without its heading, or the passage would hold the question word for word.
        yield Pair(last, f"{chunk.title}\n{chunk.text}", chunk.id, "faq" if last.endswith("?") else "heading")
    for start, sentence in _sentences(chunk):
        at = start - chunk.start
        rest = f"{chunk.text[:at].rstrip()} {chunk.text[at + len(sentence) :].lstrip()}".strip()
        if len(rest) < MIN_REST:
            continue
        passage = searchable(replace(chunk, text=rest))
        if sentence.endswith("?"):
            yield Pair(sentence, passage, chunk.id, "faq")
            continue
        for rule in ("dropped", "reworded"):
            chance = random.Random(f"{pairs.seed}/{chunk.id}/{start}/{rule}")  # noqa: S311
            question = (
                dropped(sentence, pairs.words_dropped, chance) if rule == "dropped" else reworded(sentence, chance)
            )
            if question != sentence:
                yield Pair(question, passage, chunk.id, rule)


def dropped(sentence: str, share: float, chance: random.Random) -> str:
    """A sentence without a share of its topic words, at least three of which stay."""
    spoken = sentence.split()
    topic = [at for at, word in enumerate(spoken) if _is_topic(word)]
    out = set(chance.sample(topic, min(round(share * len(topic)), max(0, len(topic) - 3))))
    return " ".join(word for at, word in enumerate(spoken) if at not in out)


def reworded(sentence: str, chance: random.Random) -> str:
    """A sentence with half of the words that have others for them said in another way; at least one."""
    spoken = sentence.split()
    may = [at for at, word in enumerate(spoken) if _others(word)]
    for at in chance.sample(may, math.ceil(REWORDED * len(may))):
        spoken[at] = chance.choice(_others(spoken[at]))
    return " ".join(spoken)


def _asked(sentence: str, pairs: Pairs, name: str) -> str:
    chance = random.Random(f"{pairs.seed}/{name}")  # noqa: S311
    return dropped(reworded(sentence, chance), pairs.words_dropped, chance)


def _is_topic(word: str) -> bool:
    return any(one not in STOPWORDS for one in words(word))


def _others(word: str) -> tuple[str, ...]:
    bare = words(word)
    return other_words(bare[0]) if len(bare) == 1 else ()


def _sentences(chunk: Chunk) -> Iterator[tuple[int, str]]:
    """Sentences with something to ask for, each with its offset in the document; no rows of tables."""
    at = 0
    for sentence in split_sentences(chunk.text):
        at = chunk.text.index(sentence, at)
        bare = _MARK.sub("", sentence)
        topic = [word for word in words(bare) if word not in STOPWORDS]
        if len(topic) >= MIN_WORDS and "|" not in bare:
            yield chunk.start + at + len(sentence) - len(bare), bare
        at += len(sentence)


def _every_second(chunk: Chunk, half: int, after: int) -> Iterator[tuple[int, str]]:
    """One half of a chunk's sentences, of two or more; chunks may overlap, so none that begins before `after`."""
    found = list(_sentences(chunk))
    for start, sentence in found[half::2] if len(found) > 1 else ():
        if start >= after:
            yield start, sentence


def _without(document: Document, cuts: Sequence[tuple[int, int]]) -> Document:
    if not cuts:
        return document
    text = document.text
    for start, end in reversed(cuts):
        text = text[:start] + text[end:]
    return Document(document.id, document.title, text, hashlib.sha256(text.encode()).hexdigest(), document.metadata)
