"""Sentences that state nothing about the house: courtesies, cheers, refusals; and promises, which nobody may make.

Everything here is decided on one sentence, without its passages; `grounding` adds what the passages say.
"""

from __future__ import annotations

import re

from retrieval.small_talk import only_small_talk
from retrieval.words import STOPWORDS, fold, stem, word_list, words

MAX_CHEER_WORDS = 9
_SUBJECT = (
    r"(?:i|we|our (?:team|staff|crew|colleagues?|advisers?)|the (?:house|team|crew)|(?:some(?:one|body)|a "
    r"(?:colleague|person|human|member)) (?:of|from|in) (?:our|the) \w+|(?:some(?:one|body)|a colleague|a "
    r"person))"
)
_ACTIONS = (
    r"(?:refund|reimburse|call|phone|ring|send|resend|email|e-mail|mail|text|write|contact|reach|ship|dispatch|"
    r"deliver|process|"
    r"cancel|change|update|check|look|investigate|arrange|organi[sz]e|reserve|hold|fix|replace|repair|give|grant|"
    r"credit|waive|"
    r"make|ensure|see to|notify|inform|get|deliver|exchange|prepare|issue|book|schedule|find|take|track|add|remove|"
    r"delete|"
    r"escalate|handle|sort|pay|return|compensate|offer|transfer|forward|open|close|reset|unlock|extend|apply|drop|"
    r"throw|hook|"
    r"follow up|expedite|upgrade|order|bring|register|set|put|pass|hand|connect|confirm your|start|pick)"
)
_ADVERBS = (
    r"(?:(?:also|now|just|already|gladly|happily|immediately|personally|certainly|definitely|of course|be able "
    r"to|have|then|always|be) )*"
)
_PROMISE = re.compile(
    rf"\b{_SUBJECT}(?:'ll| will| shall| am going to|'m going to| are going to|'re going to| is going to|'s going to| "
    rf"gonna) (?!not\b){_ADVERBS}{_ACTIONS}(?:ing|e?d)?\b"
    rf"|\b(?:i|we)(?:'ve| have) (?!not\b)(?:(?:now|just|already|also|gladly|happily) )*(?:refunded|reimbursed|sent|"
    rf"emailed|contacted|shipped|processed|cancel+ed|"
    r"changed|updated|checked|arranged|reserved|replaced|credited|waived|notified|informed|exchanged|issued|booked|"
    r"scheduled|added|removed|deleted|escalated|"
    r"applied|forwarded|extended|placed|passed|registered|upgraded|unlocked|reset)\b"
    r"|\b(?:i|we)(?:'m| am|'re| are) (?:(?:now|just|already|currently) )*(?:refunding|reimbursing|sending|emailing|"
    r"contacting|processing|cancel+ing|changing|updating|"
    r"checking|arranging|reserving|replacing|crediting|waiving|issuing|booking|escalating|looking into)\b"
    r"|\byour (?:order|parcel|package|refund|return|account|request|item|money|replacement|exchange|address|booking|"
    r"points?|gold|subscription)(?:'s| is| are| has been| have been| was| were)"
    r" (?:(?:now|just|already|being|all) )*(?:refunded|sent|shipped|processed|cancel+ed|changed|updated|approved|"
    r"reserved|replaced|credited|confirmed|issued|booked|deleted|dispatched|on (?:its|the|their) way)\b"
    rf"|\b(?:you will|you'll|you shall) (?:(?:be|soon|shortly|then|also) )*(?:refunded|contacted|called|compensated|"
    rf"hear from (?:us|me)|(?:receive|get) (?:a|an|your) (?:call|refund|discount|replacement|voucher|credit|"
    rf"coupon))\b"
    rf"|\b(?:let me|allow me to|permit me to|i can|consider it|i'd|i would) (?:(?:also|gladly|quickly|just|happily) "
    rf")*(?:refund|cancel|change|check|look|send|arrange|call|waive|process|replace|book|reserve|update|issue|credit|"
    rf"done|sort|find out)\b"
    rf"|\b(?:would be|are|am|'re|'m|'d be) (?:\w+ )?(?:delighted|glad|happy|pleased|honou?red) to (?:\w+ )?(?:refund|"
    rf"reimburse|cancel|change|send|ship|call|waive|process|replace|book|reserve|update|issue|credit|give you|offer "
    rf"you|grant|compensate|extend|expedite)\b"
    r"|\b(?:i|we) (?:hereby )?(?:promise|guarantee|swear|vow|pledge|give you (?:my|our) word)\b|\byou have (?:my|"
    r"our) word\b"
)
_PERSONS_ACTS = re.compile(
    r"\b(?:refund|reimburs|compensat|discount|voucher|credit|replacement|free|call you|ring you|within|today|"
    r"tomorrow|soon|shortly|minutes|hours?)"
)
_HAND_OVER = re.compile(
    r"\b(?:pass(?:ed|ing|es)?|hand(?:ed|ing|s)?|forward(?:ed|ing|s)?|entrust(?:ed|ing)?|transfer(?:red|ring|s)?|"
    r"bring(?:ing)?|put(?:ting)?|plac(?:ed|ing)|"
    r"get(?:ting)?|connect(?:ed|ing)?|fetch(?:ing)?|call(?:ing)?|summon(?:ing|ed)?|tag(?:ging)?|switch(?:ing)?|"
    r"grab(?:bing)?|take|takes|taking|ask(?:ed|ing)?|hop)\b"
    r".{0,60}\b(?:person|human|humans|colleague|adviser|advisers|advisors?|team|crew|care|agent|someone|somebody|"
    r"real one|hands|member|teammate|guild)\b"
)
_PERSON = re.compile(
    r"\b(?:person|people|humans?|colleagues?|advis[eo]rs?|team|crew|assistant|helper|customer care|bot|chat|"
    r"conversation)\b"
)
_REFUSAL = re.compile(
    r"\b(?:pages?|help (?:centre|center)|guide ?book|rule ?book|sources?|map|scrolls?|stash|"
    r"notes)\b.{0,40}\b(?:not?|nothing|silent|lie|beyond|don't|doesn't|isn't|aren't|cannot|can't|without|outside|"
    r"blank|empty|missing|only)\b"
    r"|\b(?:no|not|nothing|isn't|aren't|couldn't|can't|cannot|don't|doesn't|beyond|outside|off)\b.{0,60}\b(?:pages?|"
    r"help (?:centre|center)|guide ?book|rule ?book|sources?|map|scrolls?|information|info|answer|subject|topic|"
    r"notes)\b"
    r"|\b(?:would (?:not|rather not)|wouldn't|won't|prefer not to|not going to|rather not|don't want to) (?:\w+ "
    r")?(?:guess|speculate|mislead|invent|bluff|make (?:it|something|stuff) up|presume|wing it)\b"
    r"|^(?:unfortunately |regrettably |sorry |alas |ah |hmm )*(?:i|we) (?:do not|don't) know\b"
)
_KIND = r"(?:delighted|glad|happy|pleased|honou?red|grateful|thrilled|stoked|sorry|thankful)"
_COURTESY = re.compile(
    r"^(?:(?:and|so|please|kindly|as ever|once more|in the meantime|of course|certainly|naturally|again|oh|ah|aw+|"
    r"oof|hey|well) )*(?:"
    rf"(?:i|we)(?:'re| are|'m| am|'d be| would be| remain| stay)(?: \w+)?(?: \w+)? {_KIND}\b"
    r"|(?:i|we) (?:remain|stay|are|stand)(?: \w+)?(?: \w+)? (?:at|in) your (?:disposal|service)"
    r"|(?:i|we)(?:'re| are) (?:always |still |right |all )*(?:here|around|listening|all ears|attentive)"
    r"|(?:i|we) (?:warmly |sincerely |truly |kindly )?(?:thank|wish|salute|welcome|apologi[sz]e|appreciate|greet|"
    r"understand|look forward|feel for|hear)\b"
    r"|(?:thanks|thank you|many thanks|cheers|congrat\w*|welcome|sorry|apologies|pardon|greetings|farewell)\b"
    r"|(?:permit|allow|let) (?:us|me) (?:to )?(?:thank|wish|welcome|apologi[sz]e|congratulate|be candid|know)\b"
    r"|(?:it|this|that) (?:is|was|has been|would be|will be|'s|'d be)(?: \w+)? (?:our|my|a) (?:\w+ )?(?:pleasure|"
    r"honou?r|joy|delight|privilege)\b"
    r"|(?:the house|the crew|the team|velmora|everyone here) (?:thanks|is grateful|is honou?red|would be|remains|"
    r"wishes|salutes|cheers|is here|is happy|is glad|is delighted)\b"
    r"|should (?:you|anything|it|this|any)\b.*\b(?:ask|know|write|say|tell|service|disposal|please|welcome|pleasure|"
    r"contact us|glad|delighted)\b"
    r"|(?:let us know|let me know|feel free|do not hesitate|don't hesitate|ask away|just ask|do ask|hit us up|give "
    r"us a shout|shout|holler|ping us|ask|tell us|ask us)\b"
    r"|(?:enjoy|have fun|have a|happy|good luck|best of luck|take care|game on|hang in there|stay|see you|catch you|"
    r"until|fingers crossed|all the best)\b"
    r"|(?:hope|hoping|wishing)\b"
    r"|in what way\b|how may\b|how can\b|what can\b|anything else\b|need anything\b|want\b|shall\b|would you\b|ready\b"
    r")"
)
_TRUST = re.compile(r"^(?:and )?(?:(?:i|we) (?:do |sincerely |very much )?)?(?:hope|trust)\b")
_ASSERTS = re.compile(
    r"\b(?:can|can't|cannot|may not|must|mustn't|need to|needs to|have to|has to|only|never|always|every|all|any|"
    r"unless|until|within|before|covers?|covered|"
    r"allowed|possible|impossible|available|includes?|included|required?|costs?|takes?|accepts?|accepted|valid|"
    r"expires?|sold|sells?|offers?|works?)\b"
)
_OFFERS_FACT = re.compile(r"\b(?:that|because|since|as|so|and|but|which|when|if)\b")
_TOPICS = frozenset(
    stem(word)
    for word in word_list(
        """
        return refund exchange cancel delivery deliver ship shipping express warranty guarantee price cost pay
        payment charge fee cover accept open opened sale sales discount code promotion voucher card stock
        available order parcel package store shop boutique account password repair replace battery size material
        colour color leather silk gold steel wood metal dice console controller game watch bag scarf perfume
        ring necklace member points privilege engrave emboss gift wrap label carrier track tracking hour day
        week month year minute tax duty duties customs insurance insure vegan organic recycled waterproof
        handmade limited edition instalment loan credit data newsletter certificate certified authentic original
        tested safe allergy age children kids player players deposit penalty final money cash
        """
    )
)
_RULES = frozenset(
    stem(word)
    for word in word_list(
        """
        return refund reimburse exchange cancel deliver delivery ship shipping express warranty guarantee price
        cost pay paid payment charge fee cover covered accept sale sales discount voucher stock available
        availability repair replace insurance insured duty tax instalment loan vegan organic recycled waterproof
        handmade certificate certified authentic tested allergy penalty final money cash free expire valid
        """
    )
)
_MANNER = frozenset(
    stem(word)
    for word in word_list(
        """
        absolute absolutely ah all along alright answer anything apologise apologize appreciate ask assist
        assistance aw awesome back best better bit bring call candid care careful case certain certainly
        charming cheat cheer cheers clear come comfort confirm convenience cool course crystal dear deal delight
        delighted detail difficult disposal do done doubt easy effort elegant enjoy ever everything excellent
        explain fair famous feel fine first follow friend friendly further gesture give glad go good grateful
        great guess guide hand handle happy hear heart help helpful hero hesitate highly hold hope honour
        honoured house hope indeed inform information inconvenience interest invite journey joy keep kind kindly
        kindness know leave leisure let like line little look lot love lovely luck make manner matter mean
        mention mind minor moment more much nice note nothing now offer page pages part patience peace people
        permit perfect person plain please pleased pleasure pleasant plenty point possible pretty provide quest
        question quick quickly rather ready real really reassure regard regret regrettably remain remember right
        rough rush safe sake say see sense serve service set share shout simple simply sincere sincerely
        situation slowly sorry speak spot state stay straight straightforward stress subject sure sweet take
        talk team tell thank thanks thing think thought thoughtful time today tough treat true truly trust turn
        understand understanding unfortunate unfortunately useful very visit wait want warm warmly way welcome
        well whenever wish wonder wonderful word work worry worries write yes yay yep adventurer adventure boss
        bonus buff build challenge champion chest combo crew crit critical dice dungeon easy epic fun game gamer
        gaming gear gg gold guild happy heads hero incoming level levels loot looting lucky map mission night
        nightly party pal play player power quest rogue roll rolled run rest rare rich score shield shiny spell
        speed squad stash stat sweet sword tavern treasure unlocked upgrade victory win winner wizard world xp
        yay whichever suit proceed prefer decide decision consider entirely earliest rest news esteemed
        attentive visit discretion faithful faithfully reply inquiry enquiry
        """
    )
)


def promises(sentence: str) -> bool:
    """Whether a sentence promises an act or says that one was done for this visitor."""
    return bool(_PROMISE.search(_bare(sentence)))


def promises_more_than_a_person(sentence: str) -> bool:
    """Whether a hand-over goes on to promise what the person is going to do."""
    return bool(_PERSONS_ACTS.search(_bare(sentence)))


def hands_over(sentence: str) -> bool:
    """Whether a sentence says that a person takes part."""
    return bool(_HAND_OVER.search(_bare(sentence)))


def refuses(sentence: str) -> bool:
    """Whether a sentence says that there is no information."""
    return bool(_REFUSAL.search(_bare(sentence)))


def is_question(sentence: str) -> bool:
    """Whether a sentence asks something of the visitor."""
    bare = re.sub(r"[^\w?.!]+$", "", sentence.strip())
    return bare.endswith("?") and not re.match(r"\s*(?:did|do) you know\b", sentence, re.IGNORECASE)


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
            r"(?:(?:you|it|they|we) (?:can|can't|cannot|could|do|don't|does|doesn't|is|isn't|are|aren't|will|won't|"
            r"may|may not|would)(?: that)?)?$"
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
        and not _ASSERTS.search(_bare(sentence))
        and not rule_stems(sentence)
    )


def speaks_of_person(sentence: str) -> bool:
    """Whether a sentence speaks of the people behind the assistant, or of the assistant itself."""
    return bool(_PERSON.search(_bare(sentence)))


def is_courtesy(sentence: str) -> bool:
    """Whether a sentence has the form of a courtesy and asserts nothing beside it."""
    bare = _bare(sentence)
    if only_small_talk(sentence):
        return True
    if match := _TRUST.match(bare):
        rest = bare[match.end() :]
        return not _ASSERTS.search(rest) and len(topic_stems(rest)) <= 3
    if not _COURTESY.match(bare):
        return False
    # "We are pleased to confirm that returns are free" is a courtesy around a statement.
    inner = re.split(r"\b(?:that|because)\b", bare, maxsplit=1)
    return len(inner) == 1 or not _ASSERTS.search(inner[1])


def topic_stems(sentence: str) -> set[str]:
    """Stems of the words that neither courtesy nor the brand's way of talking explains."""
    return {stem(word) for word in words(sentence) if word not in STOPWORDS and not word.isdigit()} - _MANNER


def rule_stems(sentence: str) -> set[str]:
    """Stems of the words that rules of a shop are made of."""
    return {stem(word) for word in words(sentence)} & _RULES


def shop_topics(stems_: set[str]) -> set[str]:
    """Those of the stems that a shop makes rules about."""
    return stems_ & _TOPICS


def _bare(sentence: str) -> str:
    text = re.sub(r"[^\w\s'?-]+", " ", fold(sentence))
    return " ".join(text.split())
