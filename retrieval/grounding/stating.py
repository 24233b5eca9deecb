"""What passes for style but is none: a statement in the manner of a cheer, or a sentence that begins amid a word.

A small model says such things: "We both pay for that, really!", "The inn is nearest to the party!", "ird, nice!". A
style sentence states nothing about the house. Here its clauses are looked at: one whose subject is the house, a thing
or "it" states something, unless its verb tells of a feeling or of the talk itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from retrieval.grounding.topics import bare, shop_topics, topic_stems
from retrieval.language.names import is_form_of_word
from retrieval.language.words import stem, word_list

_CLAUSE_ENDS = re.compile(r"[,;:!.?\u2026]+|\s-+\s|\u2014|\s(?:and|but|because)\s")
_CALLS = re.compile(
    r"^\s*(?:(?:and|so|oh|ah|aw+|well|yes|yep|yeah|nope|no|hey|ha|hmm|now|even|yay|sure|of course|sadly|ouch|oof|ugh|"
    r"wow|here|then|but|aha|okay|ok|alright|right|honestly|truly|luckily|happily|hopefully)\b ?)*"
)
_PRONOUN_SUBJECT = re.compile(
    r"(?P<subject>(?:that|this|each|every) one|we|you|they|it|i|that|this|these|those|everyone|everybody|nobody|"
    r"each of them|one)"
    r"(?:(?: (?:all|both|always|never|really|truly|just|even|also|simply|certainly|still|only|do|surely|sure|"
    r"absolutely|totally|gladly|happily|so|often|already|very much|well|[a-z]+ly))*(?P<verb>(?: |')[a-z]+(?:'t)?))"
)
_COPULAS = frozenset((" is", "'s", " are", "'re", " was", " were", " am", "'m"))
MAX_COPULA_TOPICS = 2
MIN_ROUNDS = 3
"""So often the same words follow themselves where a model does not find its way out."""
_FEELS = re.compile(
    r" (?:love|like|know|hope|feel|miss|understand|appreciate|see|hear|wish|thank|welcome|believe|agree|care|treasure|"
    r"value|mean|get it|got|trust|look forward|can't|could|do|did|salute|cheer|celebrate|cherish|stand by|adore|enjoy|"
    r"regret|reali[sz]e|admit|think|want|applaud|remain|rejoice|say|sympathi[sz]e|imagine|take pride|live for|strive|"
    r"try|aim|gotta|honou?r|respect|bow|raise|tip|envy|dig|have (?:your back|good news|an answer|been there|the answer|"
    r"you|a|all)|can (?:relate|imagine|feel|see|help|explain)|would|might|go$)\b|'(?:d|ve|ll)\b"
)
_ABOUT_YOU = re.compile(
    r" (?:bet|rock|deserve|ask|asked|know|got|made|make (?:a|us|my|our|it)|win|rule|chose|picked|earned|came|nailed|"
    r"did|do|can (?:count|rely|trust|do|relax|rest|always|say)|could|may rest|seem|sound|look|should|want|might|"
    r"have (?:a|an|my|our|the|good|great|come|asked|made|every|excellent|impeccable)|are (?:so |very |most |always |"
    r"truly )*(?:welcome|kind|right|not alone|all set|in good|an?|the|awesome|amazing|too))\b|'(?:ve|d|ll|re)\b"
)
_ABOUT_IT = re.compile(
    r" (?:sounds?|looks?|means?|warms?|feels?|happens?|does|did|makes?|helps?|calls? for|deserves?|must|would|will|"
    r"could|might|can (?:be|feel|happen)|has been|seems?|never hurts|pays to|takes (?:courage|two|time|a)|said|changes|"
    r"went|goes|needs|loves|knows|depends|explains|settles|sums|wraps|covers it)\b|'(?:ll|d)\b"
)
_NOUN_SUBJECT = re.compile(
    r"(?:the|our|your|my|every|each|all our|all your)"
    r"(?P<nouns>(?: (?!(?:is|are|was|were|has|have|can|will|may|do|does)\b)[a-z'-]+){1,3})"
)
_INDEFINITE = re.compile(
    r"an? (?:[a-z-]+ ){1,4}(?:is|are|was|were|has|have|can|may|will|comes?|goes|gets|makes|gives|takes|stands|lies|"
    r"hangs|runs|waits|works|opens|sits|belongs|appears|lives)\b|(?:staff|visitors|guests|customers|members|"
    r"people) [a-z]+|(?!(?:everything|all|that|this|it|you|we|i|they|what|here|there|"
    r"how)\b)[a-z-]+(?: [a-z-]+){0,2} (?:is|are|was|were)"
    r"(?: not)? [a-z]+(?:ed|en)\b"
)
_RELATIVE = re.compile(r"^[a-z]+ where\b")
_TALK_NOUNS = frozenset(
    stem(word)
    for word in word_list(
        """
        choice decision answer question adventure journey pleasure honour honor rest detail details best roll more
        merrier patience trust loyalty feedback understanding wish wishes curiosity turn following satisfaction comfort
        peace kindness taste style interest happiness time attention mind heart hearts news fun secret world fate thanks
        apologies apology regrets compliments congratulations greetings sympathy thoughts short same idea point thing
        move instinct luck joy delight enquiry inquiry request concern worry worries frustration enthusiasm support
        message words word opinion call pick plan side guess answer's pleasure's choice's worst usual whole truth
        """
    )
)
"""What a courtesy may say something of: the talk, the visitor's mind and heart."""
MIN_STATEMENT = 3
_SOUNDS = frozenset(word_list("hmm hm mmm mm psst pst tsk shh sh brr brrr pfft grr ssh nth mr mrs ms dr st zzz tv pc"))
_ENDINGS = frozenset(
    word_list(
        """
        ing ed er ers est ly ness ment tion sion ould ould ough ight ird rth nd rd th st ll ve re es ies ied ity ble
        able ful less ish ive ous al ic ion
        """
    )
)
"""Ends of words that the encoder knows as words too."""
MIN_VOWELLESS = 3


def says_something(sentence: str) -> bool:
    """Whether a sentence has the form of a statement: "we pay for that", "the inn is nearest", "it ships with honour".

    What speaks of feelings, of the visitor's question or of the talk itself is none: "we love it", "that makes sense".
    """
    if _RELATIVE.search(bare(sentence)):
        return True
    return any(_is_statement(bare(part)) for part in _CLAUSE_ENDS.split(sentence) if part.strip())


def goes_on_to_state(sentence: str) -> bool:
    """Whether something after the first clause of a sentence has that form: "sorry, our cars stay in the country"."""
    return any(_is_statement(bare(part)) for part in _CLAUSE_ENDS.split(sentence)[1:] if part.strip())


def _is_statement(clause: str) -> bool:
    clause = _CALLS.sub("", clause)
    if match := _PRONOUN_SUBJECT.match(clause):
        subject, verb = match["subject"], match["verb"]
        allowed = _FEELS if subject in ("we", "they", "i") else _ABOUT_YOU if subject == "you" else _ABOUT_IT
        if allowed.match(clause[match.start("verb") :]):
            return False
        if verb in _COPULAS:
            topics = topic_stems(clause)
            return bool(shop_topics(topics)) or len(topics) > MAX_COPULA_TOPICS
        return True
    if match := _NOUN_SUBJECT.match(clause):
        return (
            not {stem(word) for word in match["nouns"].split()} & _TALK_NOUNS and len(clause.split()) >= MIN_STATEMENT
        )
    return _INDEFINITE.match(clause) is not None


def goes_round(sentence: str) -> bool:
    """Whether a model was caught in a loop: "a gift box is a gift box is a gift box is".

    The same words follow themselves twice over: three rounds, or four of a single word. A list does not do that: what
    is said of Monday and of Tuesday differs in the day.
    """
    said = re.findall(r"[\w']+", sentence.casefold())
    for long in range(1, len(said) // MIN_ROUNDS + 1):
        rounds = MIN_ROUNDS if long > 1 else MIN_ROUNDS + 1
        alike = 0
        for before, word in zip(said, said[long:], strict=False):
            alike = alike + 1 if before == word else 0
            if alike == (rounds - 1) * long:
                return True
    return False


def is_broken(sentence: str, is_word: Callable[[str], bool]) -> bool:
    """Whether a sentence begins with a piece of a word: "ird, nice!".

    Args:
        sentence: As generated.
        is_word: Knows the words of the language.
    """
    match = re.match(r"\W*([A-Za-z]{2,})(?![\w@.:/-])", sentence)
    if match is None or not is_word("and"):
        return False
    word = match[1]
    if word.lower() in _SOUNDS or word.isupper():
        return False
    if word.islower():
        return word in _ENDINGS or not is_form_of_word(word, is_word)
    return len(word) >= MIN_VOWELLESS and not re.search(r"[aeiouy]", word.lower()) and not is_word(word.lower())
