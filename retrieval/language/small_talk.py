"""Set phrases of courtesy, as rules: used to route messages and to keep courtesies out of queries."""

from __future__ import annotations

import re

from retrieval.language.words import fold

_NAMES = (
    r"(?:there|all|everyone|everybody|team|crew|folks|guys|friend|friends|again|bot|assistant|sir|madam|mate|buddy|"
    r"dear)"
)
_PHRASES = (
    r"(?:hi+|hey+|hello+|hiya|howdy|yo|sup|hola|greetings|welcome)(?: " + _NAMES + r")?",
    r"good (?:morning|afternoon|evening|day|night)(?: to you)?(?: " + _NAMES + r")?",
    r"(?:and )?(?:how are you|how are you doing|how is it going|how's it going|how do you do|what's up|whats up|wassup)"
    r"(?: today| doing)?",
    r"(?:many |big )?(?:thanks|thank you|thankyou|thx|thnx|ty|tysm|cheers|much appreciated|appreciate it)"
    r"(?: (?:a lot|a bunch|so much|very much|again|anyway|for (?:your|the|all your|all the) (?:help|time|answer|"
    r"info|information"
    r"|quick reply|reply)|for (?:helping|that|everything)|" + _NAMES[3:-1] + r"))*",
    r"(?:good ?bye|bye+|bye bye|see you|see ya|cya|farewell|take care|later|ttyl)(?: (?:then|later|soon|for now|"
    + _NAMES[3:-1]
    + r"))*",
    r"(?:and )?have a (?:nice|good|great|lovely|wonderful|pleasant) (?:day|evening|night|weekend|one|time)",
    r"(?:ok(?:ay)?|k|kk|alright|all right|right|sure|fine|cool|sweet|great|nice|awesome|perfect|super|lovely|excellent|"
    r"wonderful|"
    r"good|got it|gotcha|i see|understood|that's all|thats all|that is all|that helps|will do|no problem|no worries|"
    r"noted|"
    r"wow|yay|lol|haha+|hehe+|gg|np|yes|no|yep|nope|yeah)",
    r"(?:you are|you're|you were|that was|this was|that is|that's|very|really|so|most|super|real|quite)"
    r"(?: (?:very|really|so|most|super|real|quite|a))*"
    r" (?:helpful|kind|nice|great|good|awesome|amazing|useful|quick|fast|sweet|the best|wonderful|star|legend)",
    r"(?:(?:and )?(?:a )?(?:merry christmas|happy (?:new year|holidays|easter|halloween|birthday)|season's greetings))"
    r"(?: to you(?: all)?)?(?: " + _NAMES + r")?",
    r"are you (?:still )?there",
    r"(?:is )?(?:anyone|anybody|someone) (?:there|here|home)",
    r"nice to meet you",
)
_PHRASE = re.compile(r"(?:^|(?<=\s))(?:" + "|".join(_PHRASES) + r")(?=\s|$)")
_NOT_WORDS = re.compile(r"[^\w'\s]+|_")


def without_courtesies(text: str) -> str:
    """What is left of a message when set phrases, punctuation and emoji are taken out; folded."""
    bare = " ".join(_NOT_WORDS.sub(" ", fold(text)).split())
    while True:
        shorter = " ".join(_PHRASE.sub(" ", bare).split())
        if shorter == bare:
            return bare
        bare = shorter


def only_small_talk(text: str) -> bool:
    """Whether a message holds nothing but set phrases (or nothing at all)."""
    return not without_courtesies(text)
