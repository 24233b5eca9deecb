"""Sentences that state nothing about the house: courtesies, cheers, refusals; and promises, which nobody may make.

Everything here is decided on one sentence, without its passages; `grounding` adds what the passages say.
"""

from __future__ import annotations

import re

from retrieval.grounding.stating import goes_on_to_state
from retrieval.grounding.topics import bare, rule_stems, topic_stems
from retrieval.language.small_talk import only_small_talk
from retrieval.language.words import words

MAX_CHEER_WORDS = 9
_SUBJECT = (
    r"(?:i|we|our (?:\w+ )?(?:team|staff|crew|colleagues?|advisers?|people|office|department|desk)|the (?:house|team|"
    r"crew)|(?:some(?:one|body)|a "
    r"(?:colleague|person|human|member)|one) (?:of|from|in) (?:our|the|my) \w+|(?:some(?:one|body)|(?:a|an|one|my|our) "
    r"(?:colleagues?|person|agents?|advis[eo]r|specialists?|manager|supervisor|technicians?|engineers?|experts?|"
    r"experienced \w+|representatives?|clerk|operator|support \w+)))"
)
_HARMLESS = (
    r"(?:(?:\w+ ){1,4}together$|be (?:\w+ )?(?:glad|happy|delighted|pleased|honou?red|here|there|able|sure|brief|quick|"
    r"honest|candid|exact|fair|sorry|thrilled|around)|be$|like|love|explain|tell|say|show|add (?:that|one|a word|"
    r"a note|here|only|just)|imagine|see|understand|hope|think|miss|guess|bluff|speculate|know|walk you|guide you|"
    r"put it|put this|keep it|point|mention|note|remind|recommend|suggest|answer|gladly|try to (?:explain|answer|help)|"
    r"help|assist|need|want|have to|always|take you through|break it|start with|share|summari[sz]e|list|describe|"
    r"clarify|believe|agree|admit|wait|stay|remain|look forward|appreciate|get into|get to|get straight|jump|dive|"
    r"go (?:through|over|on)|begin|leave you|leave it|only|not\b|never\b)"
)
"""What a speaker may say to be going to do: it changes nothing outside the chat."""
_TALKS = (
    r"(?:clear|shed|break|be|introduce|congratulate|thank|welcome|wish|apologi[sz]e|take a (?:moment|closer)|elaborate|"
    r"rephrase|reassure|assure|express|give you (?:the|an?) (?:\w+ )?(?:answer|overview|rundown|summary|idea|details?|"
    r"facts?|short)|spell|sum|paint|illustrate|fill you in|get you up|confirm|hear|feel|relate|sympathi[sz]e|"
    r"offer (?:you )?"
    r"(?:my|our|some|an?) (?:\w+ )?(?:explanation|answer|word|advice|thought|apolog)|certainly|have|at least|quote|"
    r"repeat|see|warn|do for you|look (?:at|closer|into the (?:pages|help)))"
)
"""What "let me" and "I can" may go on with beside `_HARMLESS`: it is done by saying it."""
_ADVERBS = (
    r"(?:(?:also|now|just|already|gladly|happily|immediately|personally|certainly|definitely|of course|be able "
    r"to|then|quickly|simply|be sure to|make sure to|go ahead and|gone ahead and|gladly) )*"
)
_WILL = (
    r"(?:'ll| will| shall| am going to|'m going to| are going to|'re going to| is going to|'s going to| gonna|"
    r" am about to|'m about to| are about to|'re about to)"
)
_DONE = (
    r"(?:refunded|reimbursed|sent|emailed|contacted|shipped|processed|cancel+ed|changed|updated|checked|arranged|"
    r"reserved|replaced|credited|waived|notified|informed|exchanged|issued|booked|scheduled|added|removed|deleted|"
    r"escalated|applied|forwarded|extended|placed|passed|registered|upgraded|unlocked|locked|blocked|reset|transferred|"
    r"renewed|opened|closed|filed|raised|submitted|activated|deactivated|ordered|resolved|fixed|approved|confirmed|"
    r"dispatched|reported|paused|stopped|started|created|corrected|adjusted|granted|signed|assigned|completed|made|set|"
    r"put|moved|switched|called|asked|told|logged|recorded|prepared|enrolled|flagged|reviewed|released|lifted|settled|"
    r"taken (?:care|off|that|it|the (?:liberty|charge|fee))|taken .{1,30} off)"
)
_OWN = (
    r"(?:order|parcel|package|refund|return|request|money|replacement|exchange|booking|complaint|application|case|"
    r"ticket|claim|account|address|subscription|item|points?|gold|appointment|reservation|fee|payment|card|plan|loan|"
    r"contract|number|password|message|question|enquiry|inquiry|report|data|details|seat|room|visit|membership)"
)
"""What a visitor has, of which "your ... was cancelled" says that something was done just now."""
_PROMISE = re.compile(
    rf"\b{_SUBJECT}{_WILL} {_ADVERBS}(?!{_HARMLESS})[a-z]"
    rf"|\b(?:i|we)(?:'ve| have) (?!not\b)(?:(?:now|just|already|also|gladly|happily|gone ahead and|"
    rf"personally) )*{_DONE}\b"
    r"|\bi (?:(?:just|already|personally) )*(?:refunded|cancel+ed|sent|unlocked|reset|booked|changed|waived|escalated|"
    r"forwarded|reserved|updated|upgraded|extended|issued|processed)\b"
    r"|\b(?:i'm|i am|we're|we are) (?:(?:now|just|already|currently) )*(?:refunding|reimbursing|sending|emailing|"
    r"contacting|processing|cancel+ing|changing|updating|checking|arranging|reserving|replacing|crediting|waiving|"
    r"issuing|booking|escalating|looking into|closing|opening|transferring|forwarding|renewing|resetting|unlocking|"
    r"blocking|calling|scheduling|preparing|filing|submitting|activating|upgrading|extending|adding|removing|deleting|"
    r"fixing|setting up|taking care)\b"
    rf"|\byour (?:\w+ )?\w+(?:'s| is| are| has been| have been| was| were)"
    rf" (?:(?:now|just|already|being|all|hereby) )+{_DONE}\b"
    rf"|(?<!if )(?<!when )(?<!once )(?<!after )(?<!until )(?<!unless )(?<!before )\byour (?:\w+ )?{_OWN}"
    rf"(?:'s| has been| have been| was| were) {_DONE}\b"
    rf"|\byour (?:\w+ )?{_OWN} is {_DONE}\b(?! (?:if|when|once|after|before|until|unless|within|only|in|on|at|by|as|to|"
    rf"from|with|for)\b)"
    rf"|(?<!if )(?<!when )(?<!once )(?<!after )(?<!until )(?<!unless )(?<!before )\byour \w+ (?:has|have) been "
    rf"(?:(?:now|just|already) )*\w+ed\b"
    rf"|\bwill (?:\w+ )?(?:(?:call|contact|ring|phone|email|visit|notify|reach out to|get back to|write to) you|(?:be|"
    rf"get) (?:in touch|with you))\b"
    rf"|\bi (?:\w+ )?(?:took|made|put|gave|got|moved|fixed|sorted|set|held|saved|kept) .{{1,40}}\bfor you\b"
    r"|\byour \w+ is (?:already |now )?on (?:its|the|their) way\b"
    r"|\b(?:you will|you'll|you shall) (?:(?:be|soon|shortly|then|also) )*(?:refunded|contacted|called|compensated|"
    r"hearing from (?:us|me)|hear(?: \w+)? from (?:us|me|our|a|one)|(?:receive|get|have) (?:\w+ ){1,3}from me\b|"
    r"(?:receive|get) (?:a|an|your) (?:call|refund|discount|replacement|voucher|credit|coupon)\b)"
    rf"|\b(?:let me|allow me to|permit me to|i can) {_ADVERBS}(?!{_HARMLESS}|{_TALKS})[a-z]"
    r"|\bi(?: can|'d| would) (?:(?:also|gladly|quickly|just|happily) )*(?:refund|cancel|change|check|send|arrange|call|"
    r"waive|process|replace|book|reserve|update|issue|credit|sort|extend|escalate|transfer|upgrade|unlock|reset|offer "
    r"you|give you|grant|get you|do that|set|put you|take (?:that|it|\d))\b"
    r"|\bconsider (?:it|this|that|your \w+) (?:\w+ed|done|sorted|gone|fixed|settled)\b"
    rf"|\b(?:would be|are|am|'re|'m|'d be) (?:\w+ )?(?:delighted|glad|happy|pleased|honou?red) to (?:\w+ )?(?:refund|"
    rf"reimburse|cancel|change|send|ship|call|waive|process|replace|book|reserve|update|issue|credit|give you|offer "
    rf"you|grant|compensate|extend|expedite)\b"
    r"|\b(?:i|we) (?:hereby )?(?:promise|guarantee|swear|vow|pledge|(?:personally )?assure you that|give you (?:my|"
    r"our) "
    r"word)\b|\byou have (?:my|our) word\b"
)
_PERSONS_ACTS = re.compile(
    r"\b(?:refund|reimburs|compensat|discount|voucher|credit|replacement|free|call you|ring you|within|today|tomorrow|"
    r"soon|shortly|minutes|hours?)"
)
_HAND_OVER = re.compile(
    r"(?<!\bbe )\b(?:pass(?:ed|ing|es)?|hand(?:ed|ing|s)?|forward(?:ed|ing|s)?|entrust(?:ed|ing)?|transfer(?:red|ring|"
    r"s)?|bring(?:ing)?|put(?:ting)?|plac(?:ed|ing)|get(?:ting)?|connect(?:ed|ing)?|fetch(?:ing)?|call(?:ing)?|"
    r"summon(?:ing|ed)?|tag(?:ging)?|switch(?:ing)?|grab(?:bing)?|take|takes|taking|ask(?:ed|ing)?|hop)\b"
    r".{0,60}\b(?:person|human|humans|colleague|adviser|advisers|advisors?|team|crew|care|agent|someone|somebody|"
    r"real one|hands|member|teammate|guild)\b"
)
_PERSON = re.compile(
    r"\b(?:person|people|humans?|colleagues?|advis[eo]rs?|team|crew|assistant|helper|customer care|bot|chat|"
    r"conversation)\b"
)
_REFUSAL = re.compile(
    r"\b(?:pages?|help (?:centre|center)|guide ?book|rule ?book|sources?|map|scrolls?|stash|notes)\b.{0,40}\b(?:not?|"
    r"nothing|silent|lie|beyond|don't|doesn't|isn't|aren't|cannot|can't|without|outside|blank|empty|missing|only)\b"
    r"|\b(?:no|not|nothing|isn't|aren't|couldn't|can't|cannot|don't|doesn't|beyond|outside|off)\b.{0,60}\b(?:pages?|"
    r"help (?:centre|center)|guide ?book|rule ?book|sources?|map|scrolls?|information|info|answer|subject|topic|"
    r"notes)\b"
    r"|\b(?:would (?:not|rather not)|wouldn't|won't|prefer not to|not going to|rather not|don't want to) (?:\w+ "
    r")?(?:guess|speculate|mislead|invent|bluff|make (?:it|something|stuff) up|presume|wing it)\b"
    r"|^(?:unfortunately |regrettably |sorry |alas |ah |hmm )*(?:i|we) (?:do not|don't) know\b"
)
_KIND = r"(?:delighted|glad|happy|pleased|honou?red|grateful|thrilled|stoked|sorry|thankful)"
_COURTESY = re.compile(
    r"^(?:(?:and|so|please|kindly|as ever|once more|in the meantime|of course|certainly|naturally|again|oh|ah|aw+|oof|"
    r"hey|well) )*(?:"
    rf"(?:i|we)(?:'re| are|'m| am|'d be| would be| remain| stay)(?: \w+)?(?: \w+)? {_KIND}\b"
    r"|(?:i|we) (?:remain|stay|are|stand)(?: \w+)?(?: \w+)? (?:at|in) your (?:disposal|service)"
    r"|(?:i|we)(?:'re| are) (?:always |still |right |all )*(?:here|around|listening|all ears|attentive)"
    r"|(?:i|we) (?:warmly |sincerely |truly |kindly )?(?:thank|wish|salute|welcome|apologi[sz]e|appreciate|greet|"
    r"understand|look forward|feel for|hear)\b"
    r"|(?:you can (?:always |really )?(?:count|rely|depend) on us|"
    r"right this way|(?:just )?(?:one|a) (?:moment|second|sec)|"
    r"here goes|your question does you credit)\b"
    r"|(?:thanks|thank you|many thanks|cheers|congrat\w*|welcome|sorry|apologies|pardon|greetings|farewell)\b"
    r"|(?:permit|allow|let) (?:us|me) (?:to )?(?:thank|wish|welcome|apologi[sz]e|congratulate|be candid|know)\b"
    r"|(?:it|this|that) (?:is|was|has been|would be|will be|'s|'d be)(?: \w+)? (?:our|my|a) (?:\w+ )?(?:pleasure|"
    r"honou?r|joy|delight|privilege)\b"
    r"|(?:the house|the crew|the team|velmora|everyone here) (?:thanks|is grateful|is honou?red|would be|remains|"
    r"wishes|salutes|cheers|is here|is happy|is glad|is delighted)\b"
    r"|should (?:you|anything|it|this|any)\b.*\b(?:ask|know|write|say|tell|service|disposal|please|welcome|pleasure|"
    r"contact us|glad|delighted)\b"
    r"|(?:let us know|let me know|feel free|do not hesitate|don't hesitate|ask away|just ask|do ask|hit us up|give "
    r"us a shout|(?:do |please )*(?:get in touch|reach out|drop us a line|pop back|come back)|shout|holler|ping us|ask|"
    r"tell us|ask us)\b"
    r"|(?:enjoy|have fun|have a|happy|good luck|best of luck|take care|game on|hang in there|stay|see you|catch you|"
    r"until|fingers crossed|all the best)\b"
    r"|(?:hope|hoping|wishing)\b"
    r"|in what way\b|how may\b|how can\b|what can\b|anything else\b|need anything\b|want\b|shall\b|would you\b|ready\b"
    r")"
)
_TRUST = re.compile(r"^(?:and )?(?:(?:i|we) (?:do |sincerely |very much )?)?(?:hope|trust)\b")
_ASSERTS = re.compile(
    r"\b(?:can|can't|cannot|may not|must|mustn't|need to|needs to|have to|has to|only|never|always|every|all|any|"
    r"unless|until|within|before|covers?|covered|allowed|possible|impossible|available|includes?|included|required?|"
    r"costs?|takes?|accepts?|accepted|valid|expires?|sold|sells?|offers?|works?)\b"
)
_OFFERS_FACT = re.compile(r"\b(?:that|because|since|as|so|and|but|which|when|if)\b")


def promises(sentence: str) -> bool:
    """Whether a sentence promises an act or says that one was done for this visitor."""
    return bool(_PROMISE.search(bare(sentence)))


def speaks_as_one(sentence: str) -> bool:
    """Whether a sentence says "I" or "me": a passage never speaks so to this visitor."""
    return bool(re.search(r"\b(?:i|me|my|myself)\b", bare(sentence).replace("i'", "i ")))


def promises_more_than_a_person(sentence: str) -> bool:
    """Whether a hand-over goes on to promise what the person is going to do."""
    return bool(_PERSONS_ACTS.search(bare(sentence)))


def hands_over(sentence: str) -> bool:
    """Whether a sentence says that a person takes part."""
    return bool(_HAND_OVER.search(bare(sentence)))


def refuses(sentence: str) -> bool:
    """Whether a sentence says that there is no information."""
    return bool(_REFUSAL.search(bare(sentence)))


def is_question(sentence: str) -> bool:
    """Whether a sentence asks something of the visitor."""
    text = re.sub(r"[^\w?.!]+$", "", sentence.strip())
    return text.endswith("?") and not re.match(r"\s*(?:did|do) you know\b", sentence, re.IGNORECASE)


def bare_answer(sentence: str) -> bool:
    """Whether a sentence is a yes or a no without its matter: it asserts, but nothing that can be looked up."""
    kept = [
        word
        for word in words(sentence)
        if word not in {"well", "oh", "ah", "hey", "so", "hero", "adventurer", "of", "course", "sir", "madam"}
    ]
    return (
        bool(kept)
        and re.match(
            r"^(?:(?:yes|yep|yeah|yup|no|nope|nah|absolutely|definitely|affirmative|indeed)(?: |$))+"
            r"(?:(?:you|it|they|we) (?:can|can't|cannot|could|do|don't|does|doesn't|is|isn't|are|aren't|will|won't|may|"
            r"may not|would)(?: that)?)?$"
            r"|^(?:you|it|they|we) (?:can|can't|cannot|do|don't|does|doesn't|is|isn't|are|aren't|may|may not)(?: "
            r"(?:that|so))?$",
            " ".join(kept),
        )
        is not None
    )


def is_cheer(sentence: str) -> bool:
    """Whether a sentence is a short exclamation that makes no rule."""
    return (
        bool(re.search(r"!\W*$", sentence))
        and len(words(sentence)) <= MAX_CHEER_WORDS
        and not _ASSERTS.search(bare(sentence))
        and not rule_stems(sentence)
    )


def speaks_of_person(sentence: str) -> bool:
    """Whether a sentence speaks of the people behind the assistant, or of the assistant itself."""
    return bool(_PERSON.search(bare(sentence)))


def is_courtesy(sentence: str) -> bool:
    """Whether a sentence has the form of a courtesy and asserts nothing beside it."""
    text = bare(sentence)
    if only_small_talk(sentence):
        return True
    if match := _TRUST.match(text):
        rest = text[match.end() :]
        return not _ASSERTS.search(rest) and len(topic_stems(rest)) <= 3
    if not _COURTESY.match(text):
        return False
    # "Sorry, our cars stay in the country" goes on to a statement.
    if goes_on_to_state(sentence):
        return False
    # "We are pleased to confirm that returns are free" is a courtesy around a statement.
    inner = re.split(r"\b(?:that|because)\b", text, maxsplit=1)
    return len(inner) == 1 or not _ASSERTS.search(inner[1])
