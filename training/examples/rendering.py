"""Turn conversations into examples: the prompts of service, with passages from the real search, and the reply.

    python -m training.examples --brand velmora --out examples.jsonl
    python -m training.examples --brand velmora --questions --out questions.jsonl

The file can be carried to a machine that has no knowledge base and no encoder: recipes take it as it is.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal, Protocol

from configs.corrections import TOPIC
from configs.training import Data
from retrieval.passages import Passage, SearchResult
from retrieval.prompt import Message, PromptKind, build_prompt
from training.conversations import AssistantMessage, Conversation, Outcome, Question

KINDS: Mapping[Outcome, PromptKind] = {
    "answered": "answer",
    "refused": "refuse",
    "handed_off": "hand_over",
    "small_talk": "small_talk",
}
ExampleKind = PromptKind | Literal["general"]
"""`general` is a conversation that is mixed in against forgetting, no prompt of service."""
WIDE = 400
"""Passages looked at for the gold one and for distractors: all of a small knowledge base."""
WORD = re.compile(r"[a-z0-9]+")


class Searcher(Protocol):
    """What examples need of a knowledge base; `retrieval.search.knowledge_base.KnowledgeBase` is one."""

    @property
    def version(self) -> str:
        """The version that is searched."""
        ...

    def search(self, question: str, *, history: Sequence[str] = (), top_k: int = 4) -> SearchResult:
        """Passages for a question, best first; `history` holds earlier user messages, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with the reply to be learnt."""

    id: str
    """`<conversation>/<turn>/<variant>`; the variant `s` is a refusal beside passages."""
    brand: str
    kind: ExampleKind
    topic: str
    shared_policy: bool
    variant: int
    """0 is the prompt of service."""
    with_sources: bool
    """Whether the reply is a refusal beside passages."""
    messages: tuple[Message, ...]
    """System, history, and the last user message."""
    completion: str
    passages: tuple[str, ...]
    """Documents of the passages in the prompt, in their order."""
    question: str = ""
    """The last user message without its passages; near ones are held back together."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A held-out question as service would put it to the model."""

    id: str
    brand: str
    kind: PromptKind
    question: str
    messages: tuple[Message, ...]
    guided: tuple[Message, ...]
    """The same with the voice guide, for the base model; empty without a guide."""
    passages: tuple[Passage, ...]
    document: str | None
    answer_contains: tuple[str, ...]
    shared_policy: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What was noticed on the way; nothing of it stops a run."""

    kinds: Mapping[str, int]
    """Examples of each kind."""
    gold_in_search: int
    """Answered turns whose passage the search of service finds by itself."""
    gold_put_in: tuple[str, ...]
    """Turns whose passage had to be put in."""
    gold_unknown: tuple[str, ...]
    """Turns that name a document which holds no passage at all: left out."""
    unsupported: tuple[str, ...]
    """Turns with a number in the reply that stands in none of their passages."""
    over_budget: tuple[str, ...] = ()
    """Prompts that hold the gold passage alone, because the budget would have cut it off."""
    general_left_out: int = 0
    """General conversations that are too long, or hold tools."""


@dataclass(frozen=True, slots=True)
class Built:
    """Everything that was made of one brand's conversations."""

    examples: tuple[Example, ...]
    report: Report
    knowledge_version: str


@dataclass(slots=True)
class _Notes:
    found: int = 0
    put_in: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    over_budget: list[str] = field(default_factory=list)


def build_examples(
    conversations: Iterable[Conversation],
    knowledge: Searcher,
    data: Data,
    *,
    brand: str,
    display_name: str,
    top_k: int = 4,
) -> Built:
    """Build every example of one brand, in the order of the conversations.

    Args:
        conversations: Read by `training.conversations`.
        knowledge: Searched as service does, with the earlier user messages.
        data: How many prompts are made of a turn, and with how many passages.
        brand: The brand's name.
        display_name: The name as customers know it; it stands in the prompt.
        top_k: Passages that service shows.
    """
    notes = _Notes()
    examples: list[Example] = []
    for conversation in conversations:
        for number in range(1, len(conversation.messages), 2):
            turn = _Turn(conversation, number, brand, display_name)
            if not turn.reply.learnt:
                continue
            examples.extend(_turn_examples(turn, knowledge, data, min(top_k, data.max_passages), notes))
    report = Report(
        kinds=dict(sorted(Counter(example.kind for example in examples).items())),
        gold_in_search=notes.found,
        gold_put_in=tuple(notes.put_in),
        gold_unknown=tuple(notes.unknown),
        unsupported=tuple(notes.unsupported),
        over_budget=tuple(notes.over_budget),
    )
    return Built(tuple(examples), report, knowledge.version)


def build_probes(
    questions: Iterable[Question],
    knowledge: Searcher,
    *,
    brand: str,
    display_name: str,
    guide: str | None = None,
    top_k: int = 4,
    min_answerability: float = 0.5,
) -> tuple[Probe, ...]:
    """Build the prompts of held-out questions; the passages are what search finds, right or wrong.

    A question that belongs to a person gets the prompt of a hand-over, which holds no passages.
    """
    probes = []
    for one in questions:
        kind, passages = _as_service_would(one, knowledge, top_k, min_answerability)
        prompt = build_prompt(kind, one.question, display_name=display_name, passages=passages)
        guided = build_prompt(kind, one.question, display_name=display_name, passages=passages, guide=guide)
        probes.append(
            Probe(
                one.id,
                brand,
                kind,
                one.question,
                prompt.messages,
                guided.messages if guide else (),
                prompt.passages,
                one.document,
                one.answer_contains,
                one.shared_policy,
            )
        )
    return tuple(probes)


def _as_service_would(
    question: Question, knowledge: Searcher, top_k: int, min_answerability: float
) -> tuple[PromptKind, tuple[Passage, ...]]:
    if question.handoff:
        return "hand_over", ()
    found = knowledge.search(question.question, top_k=top_k)
    return "answer" if found.passages and found.answerability >= min_answerability else "refuse", found.passages


def select(examples: Sequence[Example], data: Data) -> tuple[Example, ...]:
    """The examples that a recipe trains on, in the given order.

    A subset keeps three in ten for refusals, hand-overs and small talk, and takes topics in turn; accepted corrections
    are all in it, whatever its size. General conversations come after the brand's own, as many as make their share.
    """
    corrected = [one for one in examples if one.topic == TOPIC and one.variant < data.variants]
    brands = _select_own([one for one in examples if one.kind != "general" and one.topic != TOPIC], data)
    own = (*brands, *corrected * data.corrections_repeat)
    general = [one for one in examples if one.kind == "general"]
    return (*own, *general[: general_count(len(own), data.general_share)])


def general_count(own: int, share: float) -> int:
    """How many general conversations beside so many examples make a share of all."""
    return round(own * share / (1 - share))


def _select_own(examples: Sequence[Example], data: Data) -> tuple[Example, ...]:
    fitting = [one for one in examples if one.variant < data.variants]
    if not data.refusals_with_sources:
        fitting = [one for one in fitting if not one.with_sources]
    if data.max_examples is None or len(fitting) <= data.max_examples:
        return tuple(fitting)
    kinds = sorted({one.kind for one in fitting})
    others = [kind for kind in kinds if kind != "answer"]
    chosen: set[str] = set()
    for kind in others:
        chosen |= _spread(
            [one for one in fitting if one.kind == kind], data.max_examples * 3 // 10 // len(others), data
        )
    chosen |= _spread([one for one in fitting if one.kind == "answer"], data.max_examples - len(chosen), data)
    return tuple(one for one in fitting if one.id in chosen)


def _spread(examples: Sequence[Example], count: int, data: Data) -> set[str]:
    """Ids of that many examples, topics in turn, at random within a topic."""
    rng = random.Random(data.seed)  # noqa: S311  (reproducible, not secret)
    topics: dict[str, list[str]] = {}
    for one in examples:
        topics.setdefault(one.topic, []).append(one.id)
    for ids in topics.values():
        rng.shuffle(ids)
    rows = zip_longest(*topics.values())
    in_turn = [one for row in rows for one in row if one is not None]
    return set(in_turn[:count])


def support(reply: str, passage: str) -> float:
    """Share of the reply's words and numbers that stand in the passage, 0 to 1; a number weighs as three words."""
    held = set(WORD.findall(passage.lower()))
    words = {word for word in WORD.findall(reply.lower()) if len(word) > 3 or word[0].isdigit()}
    weights = {word: 3.0 if word[0].isdigit() else 1.0 for word in words}
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in held) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """One assistant message with what stands before it."""

    conversation: Conversation
    number: int
    """Index of the assistant message."""
    brand: str
    display_name: str

    @property
    def id(self) -> str:
        return f"{self.conversation.id}/{(self.number + 1) // 2}"

    @property
    def question(self) -> str:
        return self.conversation.messages[self.number - 1].content

    @property
    def reply(self) -> AssistantMessage:
        message = self.conversation.messages[self.number]
        # `Conversation` holds user and assistant in turn.
        assert isinstance(message, AssistantMessage)  # noqa: S101
        return message

    @property
    def history(self) -> tuple[Message, ...]:
        return tuple(Message(one.role, one.content) for one in self.conversation.messages[: self.number - 1])

    def search(self, knowledge: Searcher, top_k: int) -> tuple[Passage, ...]:
        earlier = [one.content for one in self.history if one.role == "user"]
        return knowledge.search(self.question, history=earlier, top_k=top_k).passages

    def example(self, kind: PromptKind, passages: Sequence[Passage], variant: int, data: Data) -> Example:
        prompt = build_prompt(
            kind,
            self.question,
            display_name=self.display_name,
            history=self.history,
            passages=passages,
            max_source_tokens=data.max_source_tokens,
        )
        refuses = kind == "answer" and self.reply.outcome == "refused"
        return Example(
            id=f"{self.id}/{'s' if refuses else variant}",
            brand=self.brand,
            kind=kind,
            topic=self.conversation.topic,
            shared_policy=self.conversation.shared_policy,
            variant=variant,
            with_sources=refuses,
            messages=prompt.messages,
            completion=self.reply.content,
            passages=tuple(passage.document for passage in prompt.passages),
            question=self.question,
        )


def _turn_examples(turn: _Turn, knowledge: Searcher, data: Data, top_k: int, notes: _Notes) -> list[Example]:
    kind = KINDS[turn.reply.outcome]
    if kind == "answer":
        return _answer_examples(turn, knowledge, data, top_k, notes)
    examples = [turn.example(kind, (), 0, data)]
    if kind == "refuse":
        passages = turn.search(knowledge, top_k)
        if passages:
            examples.append(turn.example("answer", passages, 0, data))
    return examples


def _answer_examples(turn: _Turn, knowledge: Searcher, data: Data, top_k: int, notes: _Notes) -> list[Example]:
    pool = turn.search(knowledge, WIDE)
    gold = _gold(turn.reply, pool)
    if not gold:
        notes.unknown.append(turn.id)
        return []
    served = list(turn.search(knowledge, top_k))
    if all(_among(one, served) for one in gold):
        notes.found += 1
    else:
        notes.put_in.append(turn.id)
    if not _numbers_stand_in(turn.reply.content, [*gold, *served]):
        notes.unsupported.append(turn.id)
        if not data.unsupported_numbers:
            return []
    examples = []
    for variant in range(data.variants):
        rng = random.Random(f"{data.seed}:{turn.id}:{variant}")  # noqa: S311  (reproducible, not secret)
        if variant == 0:
            passages = _with_gold(served, gold, max(top_k, len(gold)), rng)
        else:
            passages = _varied(gold, pool, data, rng)
        example = turn.example("answer", passages, variant, data)
        if not {one.document for one in gold} <= set(example.passages):
            notes.over_budget.append(example.id)
            example = turn.example("answer", gold, variant, data)
        examples.append(example)
    return examples


def _gold(reply: AssistantMessage, pool: Sequence[Passage]) -> tuple[Passage, ...]:
    """Of each page that the reply rests on, the passage that holds most of it; empty if a page has none."""
    best = []
    for document in dict.fromkeys(reply.documents):
        candidates = [passage for passage in pool if passage.document == document]
        if not candidates:
            return ()
        best.append(max(candidates, key=lambda passage: support(reply.content, f"{passage.heading} {passage.text}")))
    return tuple(best)


def _with_gold(served: list[Passage], gold: Sequence[Passage], top_k: int, rng: random.Random) -> list[Passage]:
    """What service would show; a gold passage that search missed replaces the last other one, at a random place."""
    passages = served[:top_k]
    for one in gold:
        if _among(one, passages):
            continue
        if len(passages) >= top_k:
            others = [place for place, passage in enumerate(passages) if not _among(passage, gold)]
            passages.pop(others[-1])
        passages.insert(rng.randint(0, len(passages)), one)
    return passages


def _varied(gold: Sequence[Passage], pool: Sequence[Passage], data: Data, rng: random.Random) -> list[Passage]:
    """The gold passages among distractors, near ones more often than far ones, in any order."""
    count = max(rng.randint(data.min_passages, data.max_passages), len(gold))
    others = [passage for passage in pool if not _among(passage, gold)]
    # Weighted sampling without replacement, weight 1 / rank. Source: Efraimidis and Spirakis, IPL 97(5), 2006.
    drawn = sorted(((rng.random() ** (place + 1), place) for place in range(len(others))), reverse=True)
    passages = [*gold, *(others[place] for _, place in drawn[: count - len(gold)])]
    rng.shuffle(passages)
    return passages


def _among(one: Passage, passages: Sequence[Passage]) -> bool:
    return any((one.document, one.start, one.text) == (other.document, other.start, other.text) for other in passages)


def _numbers_stand_in(reply: str, passages: Sequence[Passage]) -> bool:
    held = set(WORD.findall(" ".join(f"{one.title} {one.heading} {one.text}" for one in passages).lower()))
    return all(word in held for word in WORD.findall(reply.lower()) if word[0].isdigit())
