"""The first look at a message: a question for the knowledge base, small talk, or something for a person.

Rules decide the clear cases, then a model says what belongs to a person (`retrieval.routing.person`). The rest is
compared with a few phrases of each kind, questions among them; only a message that is clearly nearer to another kind
leaves the way of questions, because a question answered with small talk is worse than small talk answered from the help
pages.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrieval.encoder import Encoder, Vectors
from retrieval.language.small_talk import without_courtesies
from retrieval.language.words import fold, words
from retrieval.routing.person import MATTERS, matter

RouteKind = Literal["question", "small_talk", "hand_over", "empty"]

MIN_COSINE = {"hand_over": 0.66, "small_talk": 0.6}
MIN_MARGIN = 0.1
"""How much nearer than the nearest question; both set on the sample brands' training conversations."""
MAX_WORDS = {"hand_over": 40, "small_talk": 14}

ANCHORS: dict[RouteKind, tuple[str, ...]] = {
    "small_talk": (
        "hello",
        "good morning",
        "how are you today?",
        "thank you for your help",
        "thanks, that answers it",
        "goodbye, see you soon",
        "are you a bot?",
        "am I chatting with a machine or with a person?",
        "are you a human being?",
        "is this an automated assistant?",
        "who are you?",
        "what is your name?",
        "what can you do?",
        "what can I ask you?",
        "you are very helpful",
        "I love your products, they are gorgeous",
        "your shop is awesome",
        "what a lovely collection",
        "nice chatting with you",
        "happy holidays",
        "just looking around, thanks",
        "never mind",
        "that is funny",
    ),
    "hand_over": (
        "I want to talk to a human agent",
        "connect me with a real person please",
        "can someone from your team call me?",
        "let me speak to your manager",
        "this is an unacceptable service, I am furious",
        "I want to make a complaint about your employee",
        "I am very disappointed with you",
        "I am going to sue you",
        "my attorney will contact you",
        "I will report you to the consumer protection agency",
        "my money was taken two times for one purchase",
        "my package was stolen, find it for me",
        "my order has not arrived, please look into it",
        "you delivered the wrong product to me",
        "the item arrived broken and support does not respond",
        "check the status of my order for me",
        "look up my order number",
        "cancel my order for me now",
        "change the address of my order for me",
        "tell me which data is saved in my account",
        "my account was hacked and someone bought things with it",
        "I had an allergic reaction to your product",
        "I got hurt by your product",
        "my refund is overdue, please look into it",
    ),
    "question": (
        "how long does delivery take?",
        "what does shipping cost?",
        "how do I track a parcel?",
        "what happens if a parcel is lost or late?",
        "what should I do if I received the wrong item?",
        "what if an item arrives damaged?",
        "how can I return an item?",
        "how long does a refund take?",
        "can I cancel an order?",
        "can I change the delivery address after ordering?",
        "how do I contact customer service?",
        "what is the phone number of customer care?",
        "when can I reach your team by phone?",
        "how do I file a warranty claim?",
        "which payment methods do you accept?",
        "when is my card charged?",
        "how do I reset my password?",
        "how do I delete my account?",
        "what data do you store about customers?",
        "is my data shared with other companies?",
        "how much does it cost?",
        "what are your opening hours?",
        "which colours is it available in?",
        "what is the difference between these two products?",
        "can I buy a gift card?",
        "do you have a loyalty programme?",
        "is this product suitable for children?",
        "what are your products made of?",
        "how do I care for it?",
        "do you have jobs?",
        "what is the capital of a country?",
        "write a story for me",
        "what will the weather be?",
        "which product do you recommend?",
        "do you have something similar?",
        "how much is a smaller one?",
        "does it come with a warranty?",
    ),
}

_SPELLED = {"u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "rn": "right now"}
_SHORT = re.compile(rf"(?<![\w'])(?:{'|'.join(_SPELLED)})(?![\w'])")
_PERSON = (
    r"(?:human(?: being)?|(?:real|actual|live) (?:person|human|agent|someone)|person|agent|representative|rep|manager|"
    r"supervisor|advisor|adviser|operator|someone real|somebody real|staff member|colleague|employee|member of "
    r"(?:the|your) (?:team|staff))"
)
_WANT_PERSON = re.compile(
    r"\b(?:speak|talk|chat|connect(?: me)?|transfer(?: me)?|put me through|pass me|get me|give me|want|need|prefer|"
    r"like|switch)"
    r"(?: me)?(?: over)?(?: to| with)?(?: (?:speak|talk|chat)(?: to| with))?(?: (?:a|an|the|your|some))?(?: \w+)? "
    + _PERSON
    + r"\b"
    r"|^(?:a |an |real |live )*" + _PERSON + r"(?: (?:now|please|pls|plz|asap))*$"
    r"|\b(?:call|ring|phone) me (?:back|now|today|please)\b|^(?:please )?(?:call|ring|phone) me\b"
)
_TALK_TO_ANYBODY = re.compile(
    r"^(?!(?:do|does|did|will|must|should|when|which|why|what) ).*\b(?:(?:speak|talk|chat|connect me|transfer me|"
    r"put (?:me |us )?through|pass (?:me|us)(?: on| over)?|switch me(?: over)?|hand me over|forward (?:me|this)|"
    r"escalate(?: this)?|let me through|a word) (?:to|with) (?:(?:a|an|the|your|one of|some|any) )*"
    r"(?:someone|somebody|anyone|anybody|boss|owner|humans?|people|staff|colleagues?|agents?|employees|supervisors?|"
    r"support|customer (?:service|care|support)|service desk|team))\b"
)
_MACHINE = r"(?:bots?|chat ?bots?|robots?|machines?|computers?|software|(?:computer )?programs?|ai|answering machine)"
_NO_MACHINE = re.compile(
    r"\b(?:don ?'?t|do not|won ?'?t|will not|can ?'?t|can ?not|refuse|hate|sick of|tired of|rather than|instead of|"
    r"no longer|stop|enough of|fed up with|not) (?:\w+ ){0,4}?(?:talk|speak|chat|writ|deal|discuss|argu|typ)\w* "
    r"(?:\w+ ){0,2}?(?:to|with) (?:\w+ ){0,2}?"
    + _MACHINE
    + r"\b|(?:^not|\b(?:no|enough|rather than|instead of)) (?:a |an |more |another |of )*(?:chat ?)?bots?\b"
)
_LEGAL = re.compile(
    r"\b(?:(?:my|our) (?:lawyer|attorney|solicitor)|(?:get|hire|see|take|involve|instruct|contact|call) a "
    r"(?:lawyer|attorney|solicitor)|sue you|suing you|legal action|take you to court|see you in "
    r"court|"
    r"press charges|consumer protection|class action)\b"
)
_COMPLAINT = re.compile(
    r"\b(?:(?:make|file|lodge|have|submit) (?:a|an)?(?: \w+)? ?complaint|want to complain|"
    r"(?:worst|terrible|horrible|awful|unacceptable|disgraceful|pathetic|appalling) (?:\w+ )?"
    r"(?:experience|service|support|company|shop|store|brand|seller)|rip ?off|scam(?:med|mers?)?|thieves|"
    r"(?:was|were|is|are|so|very|really|extremely) (?:rude|insulting|disrespectful) to (?:me|us|my)|"
    r"nobody (?:answers|replies|responds|helps|cares)|no one (?:answers|replies|responds|helps|cares))\b"
)
_MONEY = re.compile(
    r"\b(?:charged|billed|debited) (?:me )?(?:twice|double|two times|three times|again)\b"
    r"|\b(?:account|card) (?:was|is|has been|got) (?:hacked|stolen|misused)\b"
    r"|\b(?:someone|somebody) (?:else )?(?:has )?(?:hacked|logged in ?to|got into|used) my account\b"
)
_INJURY = re.compile(
    r"\b(?:burn(?:ed|t)|hurt|injured|cut) (?:me|my (?:hand|finger|arm|leg|foot|face|eye|skin|neck|child|son|"
    r"daughter|baby)s?)\b|\b(?:gave|given|got|caused) me (?:a |an )?(?:rash|allergic "
    r"reaction|allergy|burn|injury|infection)\b"
)
_OWN_CASE = re.compile(
    r"\b(?:you|they) (?:sent|delivered|shipped|gave) me (?:the|a) wrong\b"
    r"|\b(?:my|the) (?:order|parcel|package|refund|return) (?:has )?(?:never|still not|still hasn't|hasn't|has not|"
    r"didn't|did not) "
    r"(?:arriv|come|came|show|been|turn)\w*"
    r"|\b(?:still|have|got|received|with) (?:still )?no (?:refund|parcel|package|money|reply|answer|response)\b"
    r"|\border (?:number |no\.? ?|nr\.? ?|#)?(?:[a-z]{1,4}[- ]?)?\d{4,}\b"
)
_DO_IT_FOR_ME = re.compile(
    r"^(?:please )?(?:(?:can|could|would|will) (?:you|u|someone|somebody) (?:please )?)?(?:go and )?"
    r"(?:(?:look|search|check|ask) (?:for |into |up )?(?:it|this|that|them|my \w+)(?: \w+)? (?:yourself|for me|up)"
    r"|(?:find|cancel|change|track|refund|check) (?:it|this|that|my \w+)(?: \w+)? (?:yourself|for me)"
    r"|(?:unlock|reset|file|fix|sort|arrange|book|close|delete|update|block|stop) (?:it|this|that|them|my \w+) for "
    r"me(?: right now| now| please| today)*$"
    r"|(?:tell|show|give|send) me (?:the|my) [\w ]+ (?:in|from|on) my account)\b"
)
_GENERAL_QUESTION = re.compile(
    r"^(?:how|what|which|when|where|why|who|do you|does|is there|are there|can i|could i|may i|must i|should i|shall i|"
    r"(?:can|could) you (?:please )?(?:tell|explain|say)|is it|will i|would i|am i allowed)\b"
)
_COMPLIMENT = re.compile(
    r"^(?:i (?:really |just )*(?:love|adore) (?:your|the) \w+(?: \w+)?|(?:your|the) \w+(?: \w+)? (?:is|are|looks?) "
    r"(?:(?:so|very|really|just|absolutely|truly|simply) )*(?:beautiful|gorgeous|lovely|pretty|great|amazing|"
    r"awesome|cool|"
    r"stunning|elegant|fantastic|wonderful|brilliant|sick|epic))$"
)
_GENERAL_CASE = re.compile(
    r"\b(?:what (?:if|happens|do i do|should i do|can i do)|if (?:my|the|an?)|in case|how (?:do|can|should) (?:i|we))\b"
)
_WHO_ARE_YOU = re.compile(
    r"^(?:(?:so|and|but|wait|hey|hi|hello) )*(?:(?:are|r) (?:you|u)(?: really| actually)?|am i (?:talking|speaking|"
    r"chatting|writing)"
    r" (?:to|with)|is (?:this|that)|who (?:are|r)|do i (?:talk|speak) (?:to|with))"
    r"(?: (?:a|an|the|you|u|real|actual|live|still|just|some|or|not|kind|of|sort))*"
    r"(?: (?:human(?: being)?|person|bot|robot|chat ?bot|machine|ai|computer|program|assistant|someone real|real))*"
    r"(?: or (?:a |an )?(?:human|person|bot|robot|chatbot|machine|ai|real person))?(?: right now| now| here)?$"
)
_HELP = re.compile(
    r"^(?:help|can you help(?: me)?|i need (?:some )?help|i have a question|(?:a )?(?:quick )?question|what can "
    r"(?:you|i|u) (?:do|ask|help)(?: you| me| us)?(?: with| for me)?|what do you do)$"
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes, and why."""

    kind: RouteKind
    reason: str
    """What decided, in words for the team: the rule, the matter or the phrase."""
    score: float
    """1 for a rule; the model's score for a matter of a person; else the cosine to the nearest phrase of the kind."""


def route(text: str, encoder: Encoder | None = None) -> Route:
    """Decide where a message goes.

    Args:
        text: The visitor's message.
        encoder: Compares what no rule knows; without one such a message is a question.
    """
    if not text.strip():
        return Route("empty", "no text", 1.0)
    if not words(text):
        return Route("small_talk", "no words", 1.0)
    spelled = _SHORT.sub(lambda match: _SPELLED[match[0]], fold(text))
    rest = without_courtesies(spelled)
    bare = " ".join(words(spelled))
    if rule := _hand_over_rule(spelled, bare, rest):
        return Route("hand_over", rule, 1.0)
    if not rest:
        return Route("small_talk", "courtesies only", 1.0)
    if _WHO_ARE_YOU.match(bare) or _WHO_ARE_YOU.match(rest):
        return Route("small_talk", "asks who is speaking", 1.0)
    if _HELP.match(rest):
        return Route("small_talk", "asks for help in general", 1.0)
    if _COMPLIMENT.match(rest):
        return Route("small_talk", "a compliment", 1.0)
    if encoder is None:
        return Route("question", "no rule matched", 1.0)
    if found := matter(text, encoder):
        return Route("hand_over", found.reason, found.score)
    return _by_neighbours(text, encoder)


def prepare(encoder: Encoder) -> None:
    """Read and make what the first message would wait for, and all that comes meanwhile: half a second's work."""
    route(ANCHORS["question"][0], encoder)  # no rule knows it


def _hand_over_rule(text: str, bare: str, rest: str) -> str | None:
    if _LEGAL.search(bare):
        return "a matter for a person: legal steps"
    if _GENERAL_CASE.search(bare):
        return None
    if _COMPLAINT.search(bare):
        return "a matter for a person: a complaint"
    if _INJURY.search(text):
        return MATTERS["safety"]
    if _MONEY.search(text):
        return MATTERS["money"]
    if _OWN_CASE.search(text) or _DO_IT_FOR_ME.search(rest):
        return MATTERS["own"]
    asks_what_i_am = _WHO_ARE_YOU.match(bare)
    wishes = (_WANT_PERSON, _TALK_TO_ANYBODY, _NO_MACHINE)
    if not asks_what_i_am and any(wish.search(bare) or wish.search(rest) for wish in wishes):
        return MATTERS["person"]
    return None


def _by_neighbours(text: str, encoder: Encoder) -> Route:
    anchors = _anchors(encoder)
    vector = encoder.encode_query(text)
    nearest = {kind: _nearest(vector, vectors) for kind, vectors in anchors.items()}
    at_question, as_question = nearest["question"]
    length = len(words(text))
    kinds: tuple[RouteKind, ...] = ("hand_over", "small_talk")
    for kind in kinds:
        # "Where is the refund paid?" is near to "where is my refund?", and is a question all the same.
        if kind == "hand_over" and _GENERAL_QUESTION.match(without_courtesies(text)):
            continue
        at, cosine = nearest[kind]
        clear = cosine >= MIN_COSINE[kind] and cosine - as_question >= MIN_MARGIN
        if clear and length <= MAX_WORDS[kind]:
            return Route(kind, f"like {ANCHORS[kind][at]!r}", round(cosine, 4))
    return Route("question", f"like {ANCHORS['question'][at_question]!r}", round(as_question, 4))


def _nearest(vector: Vectors, anchors: Vectors) -> tuple[int, float]:
    cosines = anchors @ vector
    at = int(np.argmax(cosines))
    return at, float(cosines[at])


_CACHE: weakref.WeakKeyDictionary[Encoder, dict[RouteKind, Vectors]] = weakref.WeakKeyDictionary()
_CACHE_LOCK = threading.Lock()


def _anchors(encoder: Encoder) -> dict[RouteKind, Vectors]:
    """Vectors of the phrases, made once for an encoder."""
    with _CACHE_LOCK:
        if encoder not in _CACHE:
            _CACHE[encoder] = {kind: _encode(phrases, encoder) for kind, phrases in ANCHORS.items()}
        return _CACHE[encoder]


def _encode(phrases: Sequence[str], encoder: Encoder) -> Vectors:
    return np.stack([encoder.encode_query(phrase) for phrase in phrases])
