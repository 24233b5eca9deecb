"""When a brand's rules call for a person: pure functions of what was said, what was answered, and the hour.

Frustration is told by four plain rules in English; `benchmarks/handover.py` says how often they are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from configs.brand import Brand
from configs.handover import Handover, Hours, IntentRule, Unsure
from retrieval.language.words import content_words, words
from retrieval.prompt import Message, joined
from retrieval.routing.route import Route
from service.conversation.events import Reply
from service.conversation.inbox import PastTurn
from service.storage.database import now
from service.turns.grounded import strip_marks

BOUND_PROBABILITY = 0.5
"""An intent must be this probable before a rule of the brand looks at it; as for `intents_routes`."""
ASKED_FOR_A_PERSON = "asked for a person"
SHOUTED_LETTERS = 12
SHOUTED_SHARE = 0.8
SAME_WORDS = 0.8
"""Two questions with this share of content words in common are the same one."""
_INSULT = re.compile(
    r"\b(?:idiots?|idiotic|stupid|useless|dumb|moron\w*|incompetent|bullshit|bs|wtf|crap|garbage|piece of (?:junk|shit)"
    r"|f+u+c+k\w*|shit\w*|screw you|shut up|ridiculous|pathetic|joke of a)\b"
)
_FED_UP = re.compile(
    r"\b(?:(?:that|this|it|you) (?:is |are |do |does |did )?(?:still )?(?:not|n't|doesn't|didn't|don't) "
    r"(?:help\w*|answer\w*|understand\w*|listen\w*)|already (?:told|asked|said|explained)|"
    r"(?:asked|told) (?:you )?(?:twice|three times|again and again|a hundred times)|"
    r"for the (?:second|third|fourth|last|hundredth|\w+th) time|fed up|sick of this|waste of (?:my )?time|"
    r"(?:never|not) answer\w* my question|stop (?:repeating|saying) (?:that|this|the same)|"
    r"same (?:answer|thing) again)\b"
)
_CODES = {"€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "usd": "USD", "dollar": "USD"}
_CODES |= {"dollars": "USD", "bucks": "USD", "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP"}
_CODES |= {"chf": "CHF", "francs": "CHF", "yen": "JPY", "jpy": "JPY", "¥": "JPY"}
_SIGN = r"(?:€|\$|£|¥)"
_WORD = r"(?:eur|euros?|usd|dollars?|bucks|gbp|pounds?|quid|chf|francs|jpy|yen)\b"
_NUMBER = r"\d{1,3}(?:[ .,']\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_AMOUNT = re.compile(
    rf"(?P<before>{_SIGN}|{_WORD})?\s?(?<![\d.,#])(?P<number>{_NUMBER})(?P<k>k\b)?(?![\d])\s?(?P<after>{_SIGN}|{_WORD})?",
    re.IGNORECASE,
)


def history(past: Sequence[PastTurn]) -> tuple[Message, ...]:
    """Finished exchanges as a prompt has them: a person's words are the assistant's, and sides alternate."""
    sides = (
        message
        for one in past
        for message in (Message("user", one.question), Message("assistant", strip_marks(one.text)))
        if message.content
    )
    return joined(sides)


def keyword_in(text: str, keywords: Sequence[str]) -> str | None:
    """The first of the brand's keywords that stands in a text, as whole words, whatever their case and accents."""
    said = f" {' '.join(words(text))} "
    return next((one for one in keywords if (plain := " ".join(words(one))) and f" {plain} " in said), None)


def amounts(text: str) -> list[tuple[Decimal, str | None]]:
    """Amounts in a text with their currency, None where none is named.

    Thousands may be parted by a point, a comma, a blank or an apostrophe; the last of two marks is the decimal one.

    >>> amounts("a refund of 1.200,50 EUR, not $99")
    [(Decimal('1200.50'), 'EUR'), (Decimal('99'), 'USD')]
    """
    found = []
    for match in _AMOUNT.finditer(text):
        number = _decimal(match["number"])
        if number is None:
            continue
        code = _CODES.get((match["before"] or match["after"] or "").lower())
        found.append((number * 1000 if match["k"] else number, code))
    return found


def _decimal(text: str) -> Decimal | None:
    tail = re.search(r"[.,](\d{1,2})$", text)
    whole, cents = (text[: tail.start()], tail[1]) if tail else (text, "")
    digits = re.sub(r"\D", "", whole)
    try:
        return Decimal(f"{digits}.{cents}" if cents else digits)
    except InvalidOperation:
        return None


def intent_rule(rules: Sequence[IntentRule], intent: str, probability: float, text: str) -> str | None:
    """Why a message of this intent belongs to a person; None where no rule says so."""
    if probability < BOUND_PROBABILITY:
        return None
    for rule in rules:
        if rule.intent != intent:
            continue
        if rule.over is None:
            return f"the intent {intent!r}"
        for amount, currency in amounts(text):
            if amount > rule.over and (currency is None or rule.currency is None or currency == rule.currency):
                over = f"{rule.over} {rule.currency or ''}".strip()
                return f"the intent {intent!r} over {over}"
    return None


def frustration(text: str, earlier: Sequence[str] = ()) -> str | None:
    """What shows that a customer has had enough; None where nothing does.

    Args:
        text: What they say now.
        earlier: What they said before, oldest first.
    """
    said = " ".join(words(text))
    if _INSULT.search(said):
        return "frustration: an insult"
    if _FED_UP.search(said):
        return "frustration: says that it does not help"
    letters = [one for one in text if one.isalpha()]
    loud = sum(one.isupper() for one in letters)
    # Three words at least: an order number or a product's name is no shouting.
    if len(letters) >= SHOUTED_LETTERS and loud / len(letters) >= SHOUTED_SHARE and len(words(text)) >= 3:
        return "frustration: shouting"
    if any(_same(text, before) for before in earlier):
        return "frustration: the same question again"
    return None


def _same(one: str, other: str) -> bool:
    left, right = set(content_words(one)), set(content_words(other))
    return len(left) > 1 and len(left & right) / len(left | right) >= SAME_WORDS if left and right else False


def text_rule(rules: Handover, text: str, earlier: Sequence[str] = ()) -> str | None:
    """Why the words of a message call for a person; None where they do not.

    Args:
        rules: The brand's.
        text: The message.
        earlier: What the customer said since the bot last got the conversation, oldest first.
    """
    if found := keyword_in(text, rules.keywords):
        return f"the keyword {found!r}"
    return frustration(text, earlier) if rules.frustration else None


def applied(way: Route, rules: Handover, text: str, earlier: Sequence[str] = (), *, files: bool = False) -> Route:
    """The route, or the one to a person where the brand's rules on words and files say so."""
    if files and rules.files and way.kind != "hand_over":
        return Route("hand_over", "a file", 1.0)
    if way.kind in ("empty", "hand_over") or (why := text_rule(rules, text, earlier)) is None:
        return way
    return Route("hand_over", why, 1.0)


def unsure(rule: Unsure, outcomes: Sequence[tuple[str | None, float]]) -> bool:
    """Whether the last answers did not help, one after the other.

    Args:
        rule: The brand's.
        outcomes: Outcome and score of the best citation of each turn, oldest first.
    """
    last = outcomes[-rule.times :]
    return len(last) == rule.times and all(
        outcome == "refused" or (outcome == "answered" and support < rule.below) for outcome, support in last
    )


def concluded(
    brand: Brand, reply: Reply, past: Sequence[PastTurn], *, at: datetime | None = None
) -> tuple[Reply, str | None, bool]:
    """What the brand's rules make of a finished reply.

    Args:
        brand: Whose rules.
        reply: What the bot would say.
        past: The exchanges before it, oldest first.
        at: The moment; now where absent.

    Returns:
        The reply, with what must be said of the hand-over; why a person must come, None where none must; whether the
        conversation then waits for one.
    """
    rules = brand.handover
    why = _why(reply) if reply.outcome == "handed_off" else None
    if why is None and rules.unsure:
        outcomes = [(one.outcome, one.support) for one in past if one.counts]
        best = max((citation.score for citation in reply.citations), default=0.0)
        if unsure(rules.unsure, [*outcomes, (reply.outcome, best)]):
            why = f"{rules.unsure.times} answers in a row did not help"
            reply = replace(reply, text=f"{reply.text} {brand.words.handovers[0]}".strip(), outcome="handed_off")
    if why is None:
        return reply, None, True
    there = is_open(rules.hours, at or now())
    if not there:
        reply = replace(reply, text=f"{reply.text} {rules.words.outside_hours}".strip())
    return reply, why, there or rules.then == "wait"


def _why(reply: Reply) -> str:
    way = reply.evidence.get("route")
    reason = way.get("reason") if isinstance(way, dict) else None
    return str(reason or ASKED_FOR_A_PERSON)


def is_open(hours: Hours | None, at: datetime) -> bool:
    """Whether people are there at a moment."""
    if hours is None:
        return True
    local = at.astimezone(hours.zone)
    minute = local.hour * 60 + local.minute
    return any(start <= minute < end for start, end in hours.spans(local.date()))


def open_minutes(hours: Hours | None, since: datetime, until: datetime) -> float:
    """Minutes between two moments during which people were there.

    By the clock on the wall, so within an hour on the two days a year on which it is changed.
    """
    if until <= since:
        return 0.0
    if hours is None:
        return (until - since).total_seconds() / 60
    begin, end = (at.astimezone(hours.zone).replace(tzinfo=None) for at in (since, until))
    total, day = 0.0, begin.date()
    while day <= end.date():
        midnight = datetime.combine(day, datetime.min.time())
        for start, stop in hours.spans(day):
            left = max(begin, midnight + timedelta(minutes=start))
            right = min(end, midnight + timedelta(minutes=stop))
            total += max(0.0, (right - left).total_seconds() / 60)
        day += timedelta(days=1)
    return total
