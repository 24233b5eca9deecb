"""The one way from a question to a reply: route, retrieve, decide, prompt, generate, check, reply.

`stream()` yields what a visitor may see as it comes and ends with the Reply; `reply()` is the same, waited for.
Each step is a method with a typed result, and everything it saw lands in the reply's evidence.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

from configs.brand import Brand
from configs.verdict import BASE_VERSION
from retrieval.encoder import Encoder
from retrieval.grounding.check import SentenceStream, split_sentences
from retrieval.grounding.fence import fence
from retrieval.grounding.focus import MIN_FIT, MIN_QUOTE, Spot, narrowed, spots
from retrieval.passages import SearchResult
from retrieval.prompt import Message, Prompt, PromptKind, build_prompt
from retrieval.routing.clarity import names_no_matter
from retrieval.routing.route import Route, route
from service.conversation.events import Citation, Outcome, Reply, Sentence, Status, Token, TurnEvent
from service.errors import ModelUnavailable
from service.ports import Generator, IntentReader, Piece, Retriever, Sampling, Voice, Voices
from service.turns import handover_rules
from service.turns.grounded import Checked, GroundedText, cite, merged, strip_marks, with_mark

T = TypeVar("T")

OUTCOMES: Mapping[PromptKind, Outcome] = {
    "answer": "answered",
    "refuse": "refused",
    "hand_over": "handed_off",
    "small_talk": "small_talk",
}
OWN_WORDS_COSINE = 0.36
"""A generated refusal or hand-over must be this close to one that the brand wrote. 95 % of the sample brands' answers
lie below it; a refusal that does too is replaced by the brand's own words, which are always right."""
SHORT_REPLY_TOKENS = 60
FOCUS_SENTENCES = 2
"""Sentences in the prompt of a second try."""
REFRESH_S = 0.04
"""Unchecked tokens are shown 25 times a second: as smooth to a reader as each by itself, for half of the work."""
NO_ADAPTER = "none"
"""Stands in a reply's `adapter` where no weights spoke."""
WayOut = Literal["answer", "ask_back", "refuse", "hand_over", "small_talk"]
RETRY_TEMPERATURE = 0.3


@dataclass(frozen=True, slots=True)
class Look:
    """How a message was routed and what was found for it; nothing of it depends on who speaks then."""

    way: Route
    found: SearchResult | None
    evidence: Mapping[str, Any]
    timings_ms: Mapping[str, float]
    begun_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question to be answered."""

    brand: Brand
    question: str
    history: tuple[Message, ...] = ()
    """Earlier messages, oldest first, citation marks already removed."""
    adapter_version: str | None = None
    """A version other than the active one."""
    since_return: tuple[str, ...] | None = None
    """What the customer said since a person last gave the conversation back; all of the history where absent."""
    files: bool = False
    """Some came with it."""
    look: Look | None = None
    """What `ChatPipeline.look` made of it, so that several voices answer from one search; made here where absent."""
    guide: bool = True
    """Whether the base model gets the voice guide."""
    knowledge: bool = True
    """Whether the model gets the passages; what it says is checked against them either way."""


@dataclass(slots=True)
class _Trace:
    """What happened in one turn, for the reply's evidence."""

    started: float = field(default_factory=time.perf_counter)
    timings_ms: dict[str, float] = field(default_factory=dict)
    begun_ms: dict[str, float] = field(default_factory=dict)
    """When each step began, from the turn's begin."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)
    generations: list[dict[str, Any]] = field(default_factory=list)

    def mark(self, name: str, since: float) -> None:
        """Note how long a step took."""
        self.timings_ms[name] = round((time.perf_counter() - since) * 1000, 2)
        self.begun_ms[name] = round((since - self.started) * 1000, 2)


class ChatPipeline:
    """Answers turns of every brand."""

    def __init__(
        self,
        *,
        retrievers: Mapping[str, Retriever],
        encoder: Encoder,
        generator: Generator,
        voices: Voices,
        executor: Executor,
        sampling: Sampling,
        guides: Mapping[str, str],
        intents: Mapping[str, IntentReader] | None = None,
    ) -> None:
        self._retrievers = retrievers
        self._encoder = encoder
        self._generator = generator
        self._voices = voices
        self._executor = executor
        self._sampling = sampling
        self._guides = guides
        self._intents = intents or {}

    async def reply(self, turn: Turn) -> Reply:
        """Answer a turn and wait for the end."""
        async for event in self.stream(turn):
            if isinstance(event, Reply):
                return event
        raise AssertionError("a turn ends with a Reply")

    async def stream(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        """Answer a turn: Status and Sentence events, then one Reply.

        Raises:
            GenerationError: The engine failed; nothing of an unfinished sentence was yielded.
        """
        trace = _Trace()
        yield Status("searching")
        look = turn.look or await self.look(turn)
        trace.evidence.update(look.evidence)
        trace.timings_ms.update(look.timings_ms)
        trace.begun_ms.update(look.begun_ms)
        found = look.found
        kind = self._decide(turn, look.way, found, trace)
        voice = await self._voice(turn, kind, trace)
        if kind == "ask_back":
            words = turn.brand.words
            back = (words.cannot_read,) if look.way.kind == "empty" else words.questions_back
            sentence, reply = self._say(back, turn, voice, trace)
            yield sentence
            yield reply
            return
        prompt = self.prompt(turn, kind, found, voice)
        trace.evidence["prompt"] = [{"role": message.role, "content": message.content} for message in prompt.messages]
        yield Status("writing")
        async with aclosing(self._replied(turn, prompt, found, voice, trace)) as events:
            async for event in events:
                yield event

    async def _voice(self, turn: Turn, kind: WayOut, trace: _Trace) -> Voice:
        """Who speaks; nobody where no engine can take the adapter and the brand has words of its own."""
        try:
            return await self._voices.voice(turn.brand.name, turn.adapter_version)
        except ModelUnavailable as error:
            if kind == "answer" or turn.adapter_version:
                raise
            trace.evidence["no_engine"] = str(error)
            return Voice(turn.brand.name, NO_ADAPTER, "")

    def _replied(
        self, turn: Turn, prompt: Prompt, found: SearchResult | None, voice: Voice, trace: _Trace
    ) -> AsyncGenerator[TurnEvent, None]:
        """The last steps, as the prompt and the brand's check ask for."""
        if prompt.kind != "answer" or found is None:
            return self._speak(turn, prompt, voice, trace)
        if turn.brand.check == "before":
            return self._answer(turn, prompt, found, voice, trace)
        return self._answer_unchecked(turn, prompt, voice, trace)

    async def look(self, turn: Turn) -> Look:
        """Route a message, and search where it is a question."""
        return await self._in_thread(self._look, turn, _Trace())

    def _look(self, turn: Turn, trace: _Trace) -> Look:
        """Blocking, milliseconds."""
        earlier = [message.content for message in turn.history if message.role == "user"]
        way = self._with_intent(turn, route(turn.question, self._encoder), trace)
        counted = earlier if turn.since_return is None else turn.since_return
        way = handover_rules.applied(way, turn.brand.handover, turn.question, counted, files=turn.files)
        if way.kind != "question":
            return Look(way, None, trace.evidence, trace.timings_ms, trace.begun_ms)
        since = time.perf_counter()
        retriever = self._retrievers[turn.brand.name]
        found = retriever.search(turn.question, history=earlier, top_k=turn.brand.retrieval.top_k)
        trace.mark("retrieve", since)
        return Look(way, self._fenced(found, trace), trace.evidence, trace.timings_ms, trace.begun_ms)

    def _fenced(self, found: SearchResult, trace: _Trace) -> SearchResult:
        """The passages without instructions to an assistant: a document is data."""
        fenced = [fence(one, self._encoder, found.noted.get(place)) for place, one in enumerate(found.passages)]
        if removed := [{"document": one.passage.document, "removed": one.removed} for one in fenced if one.removed]:
            trace.evidence["fenced"] = removed
        # The notes go by place, and their work is done.
        return replace(found, passages=tuple(one.passage for one in fenced if one.passage.text), noted={})

    def _with_intent(self, turn: Turn, way: Route, trace: _Trace) -> Route:
        """Note the intent where the brand has a classifier, and follow the route that the brand bound to it.

        Rules speak first. A message out of scope goes on as a question: the help pages may answer what no intent names.
        """
        reader = self._intents.get(turn.brand.name)
        if reader is None or way.kind == "empty":
            return way
        seen = reader.read(turn.question)
        trace.evidence["intent"] = seen.summary()
        if way.kind != "hand_over" and not seen.rejected:
            rules = turn.brand.handover.intents
            if why := handover_rules.intent_rule(rules, seen.intent, seen.probability, turn.question):
                return Route("hand_over", why, round(seen.probability, 4))
        bound = turn.brand.intents_routes.get(seen.intent)
        if (
            bound is None
            or way.kind != "question"
            or seen.rejected
            or seen.probability < handover_rules.BOUND_PROBABILITY
        ):
            return way
        return Route(bound, f"the intent {seen.intent!r}", round(seen.probability, 4))

    @staticmethod
    def _decide(turn: Turn, way: Route, found: SearchResult | None, trace: _Trace) -> WayOut:
        """Choose the way out, and note why."""
        trace.evidence["question"] = turn.question
        trace.evidence["route"] = asdict(way)
        kind, reason = _way_out(turn, way, found)
        trace.evidence["decision"] = {"kind": kind, "reason": reason}
        if found is None:
            return kind
        trace.evidence["search"] = {
            "query": found.query,
            "knowledge_version": found.knowledge_version,
            "answerability": round(found.answerability, 4),
            "min_answerability": turn.brand.retrieval.min_answerability,
            "features": dict(found.features),
            "passages": [asdict(passage) | {"scores": dict(passage.scores)} for passage in found.passages],
        }
        return kind

    def prompt(self, turn: Turn, kind: PromptKind, found: SearchResult | None, voice: Voice) -> Prompt:
        """Build the prompt; the base model gets the voice guide, an adapter carries the voice itself."""
        passages = found.passages if found else ()
        prompt = build_prompt(
            kind,
            turn.question,
            display_name=turn.brand.display_name,
            history=turn.history,
            passages=passages if turn.knowledge else (),
            guide=self._guides.get(turn.brand.name) if voice.version == BASE_VERSION and turn.guide else None,
        )
        return prompt if turn.knowledge else replace(prompt, passages=passages)

    async def _answer(
        self, turn: Turn, prompt: Prompt, found: SearchResult, voice: Voice, trace: _Trace
    ) -> AsyncGenerator[TurnEvent, None]:
        """Generate an answer and yield each sentence that its passages support.

        Where no claim passes, or none to the point, the answer is made again from the best sentences alone; then the
        best sentence is quoted; then the question is refused.
        """
        looking = asyncio.ensure_future(self._in_thread(self._best, turn, found))  # beside the first generation
        best: tuple[Spot, ...] = ()
        opening = ""
        for attempt in range(2):
            if attempt and best:
                prompt = self._narrower(turn, found, best, voice)
                trace.evidence["prompt_again"] = prompt.messages[-1].content
            text = self._grounded(turn, prompt)
            sampling = _warmer(self._sampling) if attempt and not best else self._sampling
            async with aclosing(self._sentences(prompt, voice, sampling, trace)) as sentences:
                async for raw in sentences:
                    best = await looking
                    text.focus = narrowed(found.passages, best[:1])[0][0] if best else None
                    for sentence in await self._in_thread(text.add, raw):
                        self._mark_first(trace)
                        yield sentence
            best = await looking  # also where the engine wrote nothing
            trace.generations[-1]["sentences"] = [_evidence(checked) for checked in text.checked]
            if text.has_claim:
                yield self._finish("answered", text.shown, text.citations(), voice, trace)
                return
            opening = opening or text.opening()
        if best and best[0].fit >= MIN_QUOTE:
            quoted = await self._in_thread(self._quote, turn, prompt, opening, best[0])
            if quoted.has_claim:
                trace.evidence["quoted"] = best[0].text
                self._mark_first(trace)
                for sentence in quoted.shown:
                    yield sentence
                yield self._finish("answered", quoted.shown, quoted.citations(), voice, trace)
                return
        trace.evidence["refused_because"] = "no sentence of the answer stood in its passages, twice"
        sentence, reply = self._say(turn.brand.words.refusals, turn, voice, trace)
        yield sentence
        yield reply

    def _best(self, turn: Turn, found: SearchResult) -> tuple[Spot, ...]:
        """The sentences that answer best, best first; none where the brand wants no focus or nothing fits."""
        if not turn.brand.retrieval.focus:
            return ()
        best = spots(found.query, found.passages, self._encoder)
        return best if best and best[0].fit >= MIN_FIT else ()

    def _narrower(self, turn: Turn, found: SearchResult, best: Sequence[Spot], voice: Voice) -> Prompt:
        """The prompt with the best sentences alone; checked and cited are the whole passages all the same."""
        short, whole = narrowed(found.passages, best[:FOCUS_SENTENCES])
        return replace(self.prompt(turn, "answer", replace(found, passages=short), voice), passages=whole)

    def _grounded(self, turn: Turn, prompt: Prompt) -> GroundedText:
        return GroundedText(prompt.passages, turn.question, self._encoder, turn.brand.display_name)

    def _quote(self, turn: Turn, prompt: Prompt, opening: str, best: Spot) -> GroundedText:
        """The best sentence itself, after the words of style that the model began with."""
        text = self._grounded(turn, prompt)
        for raw in filter(None, (opening, best.text)):
            text.add(raw)
        return text

    async def _sentences(
        self, prompt: Prompt, voice: Voice, sampling: Sampling, trace: _Trace
    ) -> AsyncGenerator[str, None]:
        """Generate, and yield whole sentences."""
        stream = SentenceStream()
        async with aclosing(self._generate(prompt, voice, sampling, trace)) as pieces:
            async for piece in pieces:
                for raw in stream.feed(piece.text):
                    yield raw
        for raw in stream.flush():
            yield raw

    def _say(self, choices: Sequence[str], turn: Turn, voice: Voice, trace: _Trace) -> tuple[Sentence, Reply]:
        """Say one of the brand's own sentences in place of an answer."""
        sentence = Sentence(0, _pick(choices, turn.question))
        self._mark_first(trace)
        return sentence, self._finish("refused", [sentence], (), voice, trace)

    async def _answer_unchecked(
        self, turn: Turn, prompt: Prompt, voice: Voice, trace: _Trace
    ) -> AsyncGenerator[TurnEvent, None]:
        """Generate an answer and show it token by token; with `after`, cite what is supported at the end."""
        written: list[str] = []
        async with aclosing(self._generate(prompt, voice, self._sampling, trace, gather_s=REFRESH_S)) as pieces:
            async for piece in pieces:
                if piece.text:
                    self._mark_first(trace)
                    written.append(piece.text)
                    yield Token(piece.text)
        text = "".join(written)
        if turn.brand.check == "off":
            yield self._finish("answered", [Sentence(0, text)], (), voice, trace)
            return
        marked = await self._in_thread(self._mark_sentences, turn, prompt, text)
        trace.generations[-1]["sentences"] = [_evidence(checked) for checked, _ in marked]
        shown = [sentence for _, sentence in marked]
        yield self._finish("answered", shown, merged(shown), voice, trace)

    def _mark_sentences(self, turn: Turn, prompt: Prompt, text: str) -> list[tuple[Checked, Sentence]]:
        """Check a finished text; every sentence stays, a supported claim gets its citation."""
        grounded = self._grounded(turn, prompt)
        for raw in split_sentences(text):
            grounded.add(raw)
        marked = []
        for at, checked in enumerate(grounded.checked):
            source = checked.check.source if checked.shown and checked.check.kind == "claim" else None
            if source is None:
                marked.append((checked, Sentence(at, checked.text)))
            else:
                citation = cite(checked.check, prompt.passages)
                marked.append((checked, Sentence(at, with_mark(checked.text, source), (citation,))))
        return marked

    async def _speak(self, turn: Turn, prompt: Prompt, voice: Voice, trace: _Trace) -> AsyncGenerator[TurnEvent, None]:
        """Small talk, refusal or hand-over: no facts may be in it; else the brand's own words are used.

        They are also where no engine speaks: who asks for a person does not wait for one.
        """
        texts: list[str] = []
        accepted = False
        if voice.version != NO_ADAPTER:
            try:
                texts = await self._short(prompt, voice, trace)
            except ModelUnavailable as error:
                if turn.adapter_version:
                    raise
                trace.evidence["no_engine"] = str(error)
            else:
                accepted, checks = await self._in_thread(self._speakable, turn, prompt.kind, texts)
                trace.generations[-1]["sentences"] = checks
        if not accepted:
            texts = [_own_words(turn.brand, prompt.kind, turn.question)]
            trace.evidence["own_words"] = True
        self._mark_first(trace)
        shown = [Sentence(at, text) for at, text in enumerate(texts)]
        for sentence in shown:
            yield sentence
        yield self._finish(OUTCOMES[prompt.kind], shown, (), voice, trace)

    async def _short(self, prompt: Prompt, voice: Voice, trace: _Trace) -> list[str]:
        sampling = Sampling(
            self._sampling.temperature, SHORT_REPLY_TOKENS, self._sampling.repetition_penalty, self._sampling.seed
        )
        async with aclosing(self._sentences(prompt, voice, sampling, trace)) as sentences:
            return [raw async for raw in sentences]

    def _speakable(self, turn: Turn, kind: PromptKind, texts: list[str]) -> tuple[bool, list[dict[str, Any]]]:
        text = GroundedText((), turn.question, self._encoder, turn.brand.display_name)
        texts[:] = [clean for raw in texts if (clean := strip_marks(raw))]
        for raw in texts:
            text.add(raw)
        checks = [_evidence(checked) for checked in text.checked]
        if not texts or any(not checked.shown or checked.check.kind == "claim" for checked in text.checked):
            return False, checks
        examples = {"refuse": turn.brand.words.refusals, "hand_over": turn.brand.words.handovers}.get(kind)
        if examples is None:
            return True, checks
        spoken = self._encoder.encode_query(" ".join(texts))
        nearest = max(float(spoken @ self._encoder.encode_query(example)) for example in examples)
        checks.append({"nearest_own_words": round(nearest, 3)})
        return nearest >= OWN_WORDS_COSINE, checks

    async def _generate(
        self, prompt: Prompt, voice: Voice, sampling: Sampling, trace: _Trace, *, gather_s: float = 0.0
    ) -> AsyncGenerator[Piece, None]:
        since = time.perf_counter()
        texts: list[str] = []
        stream = self._generator.stream(prompt.messages, model=voice.model, sampling=sampling, gather_s=gather_s)
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if not texts:
                    trace.mark("first_token", since)
                texts.append(piece.text)
                trace.prompt_tokens += piece.prompt_tokens
                trace.completion_tokens += piece.completion_tokens
                yield piece
        trace.generations.append({"text": "".join(texts), "temperature": sampling.temperature})
        trace.mark("generate", since)

    def _finish(
        self,
        outcome: Outcome,
        shown: Sequence[Sentence],
        citations: tuple[Any, ...],
        voice: Voice,
        trace: _Trace,
    ) -> Reply:
        trace.mark("total", trace.started)
        trace.evidence["generations"] = trace.generations
        trace.evidence["begun_ms"] = trace.begun_ms
        return Reply(
            text=" ".join(sentence.text for sentence in shown),
            outcome=outcome,
            citations=citations,
            adapter={"brand": voice.brand, "version": voice.version},
            usage={"prompt_tokens": trace.prompt_tokens, "completion_tokens": trace.completion_tokens},
            timings_ms=trace.timings_ms,
            evidence=trace.evidence,
        )

    @staticmethod
    def _mark_first(trace: _Trace) -> None:
        if "first_sentence" not in trace.timings_ms:
            trace.mark("first_sentence", trace.started)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run blocking work off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


def _way_out(turn: Turn, way: Route, found: SearchResult | None) -> tuple[WayOut, str]:
    """Answer, ask back, refuse, hand over or small talk, and why."""
    if way.kind == "empty":
        # A picture, a voice message, a file: honesty about it is the brand's own sentence, never the model's.
        return "ask_back", way.reason
    if found is None:
        return "hand_over" if way.kind == "hand_over" else "small_talk", way.reason
    earlier = [message.content for message in turn.history if message.role == "user"]
    if unclear := names_no_matter(turn.question, earlier):
        return "ask_back", unclear
    if not found.passages:
        return "refuse", "nothing was found"
    if found.answerability < turn.brand.retrieval.min_answerability:
        return "refuse", "the passages are unlikely to hold the answer"
    return "answer", "the passages are likely to hold the answer"


def passed_on(brand: Brand, question: str, why: str) -> Reply:
    """A turn that was not answered in time, handed over to a person in the brand's own words."""
    text = _pick(brand.words.handovers, question)
    return _ended(
        brand, text, "handed_off", (), {"route": {"kind": "hand_over", "reason": f"not answered in time: {why}"}}
    )


def broken_off(brand: Brand, shown: Sequence[Sentence], unchecked: Sequence[str]) -> Reply:
    """A turn that its reader stopped: what was shown stays."""
    text = " ".join(sentence.text for sentence in shown) if shown else "".join(unchecked)
    return _ended(brand, text, "stopped", merged(shown), {})


def _ended(
    brand: Brand, text: str, outcome: Outcome, citations: tuple[Citation, ...], evidence: Mapping[str, object]
) -> Reply:
    """A turn that ended without a step of the pipeline."""
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    adapter = {"brand": brand.name, "version": NO_ADAPTER}
    return Reply(text, outcome, citations, adapter, usage, {}, evidence)


def _warmer(sampling: Sampling) -> Sampling:
    return Sampling(RETRY_TEMPERATURE, sampling.max_tokens, sampling.repetition_penalty, seed=1)


def _evidence(checked: Checked) -> dict[str, Any]:
    return {"text": checked.text, "shown": checked.shown, **asdict(checked.check)}


def _own_words(brand: Brand, kind: PromptKind, question: str) -> str:
    if kind == "refuse":
        return _pick(brand.words.refusals, question)
    if kind == "hand_over":
        return _pick(brand.words.handovers, question)
    return brand.words.greeting


def _pick(choices: Sequence[str], question: str) -> str:
    """The same question gets the same words; different questions do not all get the first."""
    return choices[hashlib.sha256(question.encode()).digest()[0] % len(choices)]
