"""Whether an example that a model wrote may be learnt from: by the project's own search, sentence check and doctor.

A question must be found, an answer must stand in its passage and be to the point, a refusal must be right, and nothing
may repeat what there is or what is measured with. Nothing here asks a model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.brand import Brand
from configs.cases import case_files
from configs.home import Home
from retrieval.brand_search import open_search
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.grounding.check import SentenceCheck, check_sentence, split_sentences
from retrieval.grounding.fence import fence
from retrieval.grounding.focus import MIN_FIT, MIN_QUOTE, narrowed, spots
from retrieval.language import personal
from retrieval.passages import Passage
from retrieval.routing.clarity import names_no_matter
from retrieval.routing.route import route
from retrieval.search.knowledge_base import KnowledgeBase
from training.conversations import AssistantMessage, Conversation, read_conversations
from training.data import fairness, wording
from training.data.balance import FOREIGN
from training.data.check import evaluation_questions
from training.data.rows import Row, Turn
from training.data.similar import NEAR, resemblance, without_figures
from training.errors import RecipeInvalid, VoiceUnlearnable
from training.examples.sources import configured, encoder_folder, pages_of
from training.synthetic.prompts import Kind, Shot
from training.voice.brand import voice_of
from training.voice.model import VoiceModel

Reason = Literal[
    "unreadable",
    "no_question",
    "not_found",
    "unsupported",
    "no_claim",
    "off_point",
    "answered",
    "off_voice",
    "other_figures",
    "overlap",
    "duplicate",
    "wording",
]
FEWEST_WORDS = 6
"""Of a passage: less says too little to ask about."""
LOOKED_AT = 10
"""Passages in which the answer to a question that is to be refused is looked for."""
TO_THE_POINT = 2
"""Best sentences of a passage that an answer must draw on, as a second try of service does."""
MAX_CHARS = 2000
"""Of a question or a reply."""
SHOTS = 2
"""Examples that a model is shown: with none, the smallest one hardly ever keeps to the form."""
_FIGURE = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a model wrote."""

    kind: Kind
    passage: Passage
    """Of a refusal, the passage that does not answer."""
    question: str
    reply: str
    asked: str = ""
    """Of a paraphrase, the question that it asks again."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why it is not learnt from."""

    rule: Reason
    reason: str


@dataclass(slots=True)
class Desk:
    """What one brand's examples are checked with."""

    brand: Brand
    encoder: Encoder
    knowledge: KnowledgeBase
    evaluation: Sequence[str]
    """Questions that training must not see."""
    taken: list[str]
    """Questions that there are already; `take` adds one."""
    own: Sequence[Conversation] = ()
    """What people wrote."""
    contacts: frozenset[str] = frozenset()
    voice: VoiceModel | None = None

    @classmethod
    def open(cls, name: str, environment: Mapping[str, str] = os.environ, *, against: Sequence[Path] = ()) -> Desk:
        """Open a brand as the environment configures it.

        Args:
            name: Of the brand.
            environment: Names configuration and state folder.
            against: Files of questions to keep out, besides the brand's own.

        Raises:
            ConfigError: Unknown brand, or a config that is not valid.
            DataInvalid: Its conversations or questions are not.
            RecipeInvalid: It has no knowledge.
            RetrievalError: Knowledge base or encoder are not intact.
        """
        config, brand = configured(name, environment)
        home = Home.from_environment(environment)
        encoder = OnnxEncoder.load(encoder_folder(config, home))
        knowledge = open_search(home, brand, encoder)
        if not knowledge.documents():
            raise RecipeInvalid(
                f"the knowledge base of {name!r} is empty, so that there is nothing to write about; "
                f"run `brandvoice kb add --brand {name}`"
            )
        files = [*against, *case_files(brand, home)]
        there = brand.conversations is not None and brand.conversations.is_file()
        own = read_conversations(brand.conversations) if there and brand.conversations else ()
        return cls(
            brand,
            encoder,
            knowledge,
            [question for path in files for question in evaluation_questions(path)],
            [said.content for one in own for said in one.messages if said.role == "user"],
            [one for one in own if one.synthetic is None],
            personal.contacts("\n\n".join(pages_of(brand).values())),
            _voice(brand, home),
        )

    def passages(self) -> Iterator[tuple[str, Passage]]:
        """What customers are answered from, each with the chunk's id, without instructions to an assistant."""
        version, _ = self.knowledge.searched()
        for place in range(len(version)):
            chunk = version.chunks[place]
            raw = Passage(
                chunk.document, chunk.title, chunk.heading, chunk.text, 0.0, {}, chunk.start, chunk.end, chunk.page
            )
            clean = fence(raw, self.encoder, version.noted(place)).passage
            if len(clean.text.split()) >= FEWEST_WORDS:
                yield chunk.id, clean

    def take(self, question: str) -> None:
        """A question that the next ones must differ from."""
        self.taken.append(question)

    def check(self, one: Candidate) -> Rejection | None:
        """Why an example is not learnt from; None where it may be, once a person has approved it."""
        return (
            self._words(one)
            or self._question(one)
            or self._repeats(one)
            or (self._refusal(one) if one.kind == "refusal" else self._answer(one))
        )

    def shots(self, kind: Kind) -> tuple[Shot, ...]:
        """The first examples of this kind that people wrote and that pass the check; none of paraphrases."""
        wanted = {"answer": "answered", "refusal": "refused"}.get(kind)
        found: list[Shot] = []
        for question, reply in (one.messages[:2] for one in self.own):
            if len(found) == SHOTS:
                break
            if not isinstance(reply, AssistantMessage) or reply.outcome != wanted:
                continue
            passages = self.knowledge.search(question.content, top_k=1).passages
            if not passages or (kind == "answer" and passages[0].document not in reply.documents):
                continue
            if any(passages[0].document == one.passage.document for one in found):
                continue
            one = Candidate(kind, passages[0], question.content, reply.content)
            if (self._refusal(one) if kind == "refusal" else self._answer(one)) is None:
                found.append(Shot(passages[0], question.content, reply.content))
        return tuple(found)

    def sounds(self, reply: str) -> float | None:
        """How much a reply sounds like the brand, 0 to 1; None where its voice cannot be learnt."""
        return None if self.voice is None else round(self.voice.score(reply).score, 3)

    def _words(self, one: Candidate) -> Rejection | None:
        """What the doctor says of the row by itself."""
        if max(len(one.question), len(one.reply)) > MAX_CHARS:
            return Rejection("wording", f"too_long: over {MAX_CHARS} characters")
        row = Row(Path(), 1, "completion", (Turn("user", one.question), Turn("assistant", one.reply)))
        said = [
            *wording.cut(row, wording.Manner()),
            *wording.placeholders(row),
            *wording.language(row, self.brand.language),
            *fairness.abuse(row),
        ]
        if said:
            rule, reason = said[0]
            return Rejection("wording", f"{rule}: {reason}")
        pieces = [
            piece
            for turn in row.turns
            for piece in personal.find(turn.content, reply=turn.role == "assistant", known=self.contacts)
        ]
        return Rejection("wording", f"pii: holds {pieces[0].kind}") if pieces else None

    def _question(self, one: Candidate) -> Rejection | None:
        """Whether service would take it for a question that can be understood."""
        way = route(one.question, self.encoder)
        if way.kind != "question":
            return Rejection("no_question", f"taken for {way.kind} ({way.reason})")
        if unclear := names_no_matter(one.question, ()):
            return Rejection("no_question", unclear)
        if one.kind == "paraphrase" and set(_FIGURE.findall(one.question)) != set(_FIGURE.findall(one.asked)):
            return Rejection("other_figures", f"other figures than {one.asked!r}")
        return None

    def _repeats(self, one: Candidate) -> Rejection | None:
        plain = without_figures(one.question)
        for other in self.evaluation:
            if resemblance(plain, without_figures(other)) >= NEAR:
                return Rejection("overlap", f"asks what the evaluation asks: {other!r}")
        for other in self.taken:
            if resemblance(one.question, other) >= NEAR:
                return Rejection("duplicate", f"is asked already: {other!r}")
        return None

    def _answer(self, one: Candidate) -> Rejection | None:
        """Whether the passage is found by the question and holds every sentence, and one is to the point."""
        found = self.knowledge.search(one.question, top_k=self.brand.retrieval.top_k).passages
        if not any(same_place(passage, one.passage) for passage in found):
            places = ", ".join(f"{passage.document} ({passage.heading})" for passage in found)
            return Rejection("not_found", f"the question finds {places or 'nothing'}")
        claims = []
        for sentence in split_sentences(one.reply):
            check = self._sentence(sentence, one.passage, one.question)
            if not check.supported:
                return Rejection("unsupported", f"{check.reason or 'not in the passage'}: {sentence!r}")
            if check.kind == "claim":
                claims.append(sentence)
        if not claims:
            return Rejection("no_claim", "the reply states nothing of the passage")
        best = spots(one.question, (one.passage,), self.encoder)[:TO_THE_POINT]
        if not best or best[0].fit < MIN_FIT:
            return Rejection("off_point", "no sentence of the passage answers this question")
        (short,), _ = narrowed((one.passage,), best)
        if not any(self._sentence(claim, short, one.question).supported for claim in claims):
            return Rejection("off_point", f"the answer would be: {best[0].text!r}")
        return self._tone(one.reply)

    def _tone(self, reply: str) -> Rejection | None:
        if self.voice is None or (found := self.voice.score(reply)).score >= FOREIGN:
            return None
        return Rejection(
            "off_voice", f"hardly sounds like the brand ({found.score:.2f}): {'; '.join(found.reasons[:3])}"
        )

    def _refusal(self, one: Candidate) -> Rejection | None:
        """Whether service would refuse it, and no passage answers it."""
        found = self.knowledge.search(one.question, top_k=self.brand.retrieval.top_k)
        if found.answerability >= self.brand.retrieval.min_answerability:
            return Rejection("answered", f"{found.passages[0].document} answers it ({found.answerability:.2f})")
        wide = self.knowledge.search(one.question, top_k=LOOKED_AT).passages
        best = spots(one.question, wide, self.encoder)[:1]
        if best and best[0].fit >= MIN_QUOTE:
            return Rejection("answered", f"a passage says {best[0].text!r}")
        return None

    def _sentence(self, sentence: str, passage: Passage, question: str) -> SentenceCheck:
        return check_sentence(
            sentence, (passage,), question=question, encoder=self.encoder, allowed_names=(self.brand.display_name,)
        )


def same_place(one: Passage, other: Passage) -> bool:
    """Whether two are one piece of one document, whatever was left out of their texts."""
    return (one.document, one.start, one.end) == (other.document, other.start, other.end)


def _voice(brand: Brand, home: Home) -> VoiceModel | None:
    try:
        return voice_of(brand, home)
    except VoiceUnlearnable:
        return None
