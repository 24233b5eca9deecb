"""Rules against replies that hurt: insults, judgements of groups, and unequal answers to the same question.

The lists are short and own. The probes look for the same question asked under two names, or in two dialects, and
compare what was answered: the data itself must not teach to serve people unequally.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from retrieval.language.words import fold, word_list, words
from training.data.balance import refuses
from training.data.repeats import contradiction
from training.data.rows import Finding, Row
from training.data.wording import Said

_INSULTS = frozenset(
    word_list("""
    idiot idiots idiotic moron morons moronic imbecile imbeciles dumbass dimwit halfwit cretin scum scumbag loser losers
    bastard bastards asshole assholes arsehole bitch bitches bullshit fuck fucking fucked fucker shit shitty crap crappy
    wanker twat prick dickhead jackass piss slut whore retard retarded
    """)
)
_INSULTING = re.compile(
    r"\b(?:shut up|get lost|go to hell|screw you|drop dead|you (?:are|must be|'re) (?:so |too |really |just |very )?"
    r"(?:stupid|dumb|pathetic|worthless|useless|ugly|crazy|ignorant|lazy|hopeless)|(?:stupid|dumb|pathetic|"
    r"ridiculous|silly) "
    r"(?:customer|customers|question|questions|person|people|woman|man)|nobody (?:likes|cares about) you|"
    r"(?:your|that's your) own (?:stupid|damn) fault|stop (?:whining|wasting (?:my|our) time)|"
    r"i (?:will|'ll) (?:hurt|kill|find) you)\b",
    re.IGNORECASE,
)
_GROUP = (
    r"(?:women|men|girls|boys|immigrants|foreigners|refugees|muslims|jews|christians|hindus|blacks|whites|asians|arabs|"
    r"africans|mexicans|indians|chinese|germans|poles|turks|gypsies|gays|lesbians|old people|the elderly|young "
    r"people|poor people|"
    r"disabled people|people from \w+|black people|white people|people like you|your (?:kind|people))"
)
_SLIGHT = (
    r"(?:lazy|stupid|dumb|dirty|dishonest|criminal|criminals|thieves|terrorists|inferior|greedy|emotional|hysterical|"
    r"weak|dangerous|untrustworthy|ignorant|bad (?:at|with)|not (?:smart|clever|able|good|to be trusted)|too "
    r"(?:old|emotional|"
    r"stupid|slow|lazy)|worse|less (?:capable|intelligent|honest))"
)
_BIASED = re.compile(
    rf"\b{_GROUP}\b(?: \w+)? (?:are|is|do|can|tend to be|always|never)(?: (?:all|always|just|often|known to be|n't|"
    rf"never|be|most|\w+ly))* {_SLIGHT}\b|\b{_SLIGHT} (?:like|as) (?:all|most|other) {_GROUP}\b"
    rf"|\bwe (?:do not|don't) (?:serve|sell to|trust|accept) {_GROUP}\b",
    re.IGNORECASE,
)


def abuse(row: Row) -> Said:
    """Replies that insult, and replies that judge people by a group."""
    for reply in row.replies:
        insult = next((word for word in words(reply) if word in _INSULTS), None)
        phrase = _INSULTING.search(reply.replace("\u2019", "'"))
        if insult or phrase:
            yield "abuse", f"a reply insults: {insult or (phrase and phrase[0])}"
            break
    for reply in row.replies:
        if match := _BIASED.search(reply.replace("\u2019", "'")):
            yield "bias", f"a reply judges people by a group: {match[0]}"
            break


_NAMES: Mapping[str, str] = {
    name: group
    for group, names in {
        "one": "emily anne jill sarah laurie carrie greg brad geoffrey todd jay matthew john michael peter paul mary",
        "two": "lakisha latoya tamika keisha ebony aisha jamal darnell tyrone rasheed hakim kareem tremayne leroy",
        "three": "fatima yasmin zeynep ayse leila mohammed mohamed ahmed ali mehmet hassan omar ibrahim mustafa",
        "four": "mei ling wei chen priya lakshmi raj sanjay nguyen linh hiroshi yuki maria guadalupe jose juan carlos",
    }.items()
    for name in names.split()
}
"""First names by the group that they are often read as. Source of the method and of the first two groups: Bertrand and
Mullainathan, American Economic Review 94(4), 2004."""
_DIALECT = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"\bfinna\b|\bfixin to\b|\bgonna\b", "going to"),
        (r"\bain't\b", "is not"),
        (r"\by'all\b|\byall\b|\bye\b|\byous\b|\bu\b|\bya\b", "you"),
        (r"\bwanna\b", "want to"),
        (r"\bgotta\b", "have to"),
        (r"\bgimme\b", "give me"),
        (r"\blemme\b", "let me"),
        (r"\b(?:dis)\b", "this"),
        (r"\b(?:dat)\b", "that"),
        (r"\bmah\b|\bme (?=order|parcel|money|package|refund)", "my "),
        (r"\bur\b|\byer\b", "your"),
        (r"\bhow come\b", "why"),
        (r"(\w+)in'(?=\s|$|[?.!,])", r"\1ing"),
        (r"\bda\b", "the"),
        (r"\bi be\b", "i am"),
        (r"\bcannae\b", "cannot"),
        (r"\b(?:bruv|innit|mate|hun|fam|bro|sis|aye|please|pls|hi|hello|hey)\b", ""),
    )
)
"""Written forms of dialects with the standard form; questions are compared in the second."""
_MOST_IN_A_BUCKET = 20


def unequal(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows that answer otherwise than an earlier one whose question is the same but for a name or a dialect."""
    asked: dict[str, list[tuple[Row, str, str]]] = defaultdict(list)
    for row in rows:
        exchange = row.first_exchange
        if exchange is None:
            continue
        plain, how = _standard(exchange[0])
        if not plain:
            continue
        earlier = asked[plain]
        for other, their_how, their_reply in earlier:
            if how != their_how and (difference := _difference(their_reply, exchange[1])):
                reason = f"the question of line {other.line}, asked {how or 'plainly'}: {difference}"
                yield Finding(row.file, row.line, "bias", reason)
                break
        if len(earlier) < _MOST_IN_A_BUCKET:
            earlier.append((row, how, exchange[1]))


def _standard(question: str) -> tuple[str, str]:
    """The question without names and dialect, and what was taken out of it."""
    text = fold(question)
    groups = {_NAMES[word] for word in words(text) if word in _NAMES}
    plain = text
    for pattern, standard in _DIALECT:
        plain = pattern.sub(standard, plain)
    kept = ["_" if word in _NAMES else word for word in words(plain)]
    said = [word for word in words(text) if word not in ("please", "pls", "hi", "hello", "hey")]
    dialect = words(plain) != said
    how = [f"by a name of group {group}" for group in sorted(groups)] + (["in dialect"] if dialect else [])
    return " ".join(kept), ", ".join(how)


def _difference(one: str, other: str) -> str | None:
    """How two replies to one question treat people unequally."""
    if refuses(one) != refuses(other):
        return "one is refused, the other is not"
    if other_facts := contradiction(one, other):
        return f"the facts are others, {other_facts}"
    shorter, longer = sorted((len(one.split()), len(other.split())))
    if longer >= 12 and shorter * 3 < longer:
        return f"one reply has {shorter} words, the other {longer}"
    if bool(_COURTEOUS.search(one)) != bool(_COURTEOUS.search(other)) and bool(_CURT.search(one)) != bool(
        _CURT.search(other)
    ):
        return "one is courteous, the other curt"
    return None


_COURTEOUS = re.compile(
    r"\b(?:please|kindly|happy to|glad|pleasure|thank|sorry|welcome|of course|certainly)\b", re.IGNORECASE
)
_CURT = re.compile(
    r"\b(?:read the|look it up|not my|figure it out|obviously|as i said|you should know)\b", re.IGNORECASE
)
