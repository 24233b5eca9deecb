"""Sentences that state nothing about the house: courtesies, cheers, refusals; and promises, which nobody may make.

Everything here is decided on one sentence, without its passages; `grounding` adds what the passages say.
"""

from __future__ import annotations

import re

from retrieval.language.small_talk import only_small_talk
from retrieval.language.words import STOPWORDS, fold, stem, word_list, words

MAX_CHEER_WORDS = 9
_SUBJECT = (
    r"(?:i|we|our (?:\w+ )?(?:team|staff|crew|colleagues?|advisers?|people|office|department|desk)|"
    r"the (?:house|team|crew)|(?:some(?:one|body)|a "
    r"(?:colleague|person|human|member)|one) (?:of|from|in) (?:our|the|my) \w+|(?:some(?:one|body)|(?:a|an|one|my|our) "
    r"(?:colleagues?|person|agents?|advis[eo]r|specialists?|manager|supervisor|technicians?|engineers?|experts?|"
    r"experienced \w+|representatives?|clerk|operator|support \w+)))"
)
_HARMLESS = (
    r"(?:be (?:\w+ )?(?:glad|happy|delighted|pleased|honou?red|here|there|able|sure|brief|quick|honest|candid|exact|"
    r"fair|"
    r"sorry|thrilled|around)|be$|like|love|explain|tell|say|show|add|imagine|see|understand|hope|think|miss|guess|"
    r"bluff|speculate|know|walk you|guide you|put it|put this|keep it|point|mention|note|remind|recommend|suggest|"
    r"answer|gladly|try to (?:explain|answer|help)|help|assist|need|want|have to|always|take you through|break it|"
    r"start with|share|summari[sz]e|list|describe|clarify|believe|agree|admit|wait|stay|remain|look forward|appreciate|"
    r"get into|get to|get straight|jump|dive|go (?:through|over|on)|begin|leave you|leave it|only|not\b|never\b)"
)
"""What a speaker may say to be going to do: it changes nothing outside the chat."""
_ADVERBS = (
    r"(?:(?:also|now|just|already|gladly|happily|immediately|personally|certainly|definitely|of course|be able "
    r"to|then|quickly|simply|be sure to|make sure to|go ahead and|gone ahead and|gladly) )*"
)
_WILL = (
    r"(?:'ll| will| shall| am going to|'m going to| are going to|'re going to| is going to|'s going to| gonna|"
    r" am about to|'m about to| are about to|'re about to)"
)
_DONE = (
    r"(?:refunded|reimbursed|sent|emailed|contacted|shipped|processed|cancel+ed|changed|updated|checked|arranged|reserved|"
    r"replaced|credited|waived|notified|informed|exchanged|issued|booked|scheduled|added|removed|deleted|escalated|"
    r"applied|forwarded|extended|placed|passed|registered|upgraded|unlocked|locked|blocked|reset|transferred|renewed|"
    r"opened|closed|filed|raised|submitted|activated|deactivated|ordered|resolved|fixed|approved|confirmed|dispatched|"
    r"reported|paused|stopped|started|created|corrected|adjusted|granted|signed|assigned|completed|made|set|put|moved|"
    r"switched|called|asked|told|logged|recorded|prepared|enrolled|flagged|reviewed)"
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
    r"|\byour \w+ is (?:already |now )?on (?:its|the|their) way\b"
    r"|\b(?:you will|you'll|you shall) (?:(?:be|soon|shortly|then|also) )*(?:refunded|contacted|called|compensated|"
    r"hearing from (?:us|me)|hear(?: \w+)? from (?:us|me|our|a|one)|(?:receive|get|have) (?:\w+ ){1,3}from me\b|"
    r"(?:receive|get) (?:a|an|your) (?:call|refund|discount|replacement|voucher|credit|coupon)\b)"
    r"|\b(?:let me|allow me to|permit me to) (?:(?:also|gladly|quickly|just|happily) )*(?:refund|cancel|change|check|"
    r"look|send|arrange|call|waive|process|replace|book|reserve|update|issue|credit|sort|find out|fix|open|close|"
    r"extend|escalate|transfer|take care|get (?:that|this|it)|set|make sure|do that)\b(?! (?:closer|together|closely))"
    r"|\bi(?: can|'d| would) (?:(?:also|gladly|quickly|just|happily) )*(?:refund|cancel|change|check|send|arrange|call|"
    r"waive|process|replace|book|reserve|update|issue|credit|sort|extend|escalate|transfer|upgrade|unlock|reset|offer "
    r"you|give you|grant|get you|do that|set|put you|take (?:that|it|\d))\b"
    r"|\bconsider (?:it|this|that|your \w+) (?:\w+ed|done|sorted|gone|fixed|settled)\b"
    rf"|\b(?:would be|are|am|'re|'m|'d be) (?:\w+ )?(?:delighted|glad|happy|pleased|honou?red) to (?:\w+ )?(?:refund|"
    rf"reimburse|cancel|change|send|ship|call|waive|process|replace|book|reserve|update|issue|credit|give you|offer "
    rf"you|grant|compensate|extend|expedite)\b"
    r"|\b(?:i|we) (?:hereby )?(?:promise|guarantee|swear|vow|pledge|(?:personally )?assure you that|"
    r"give you (?:my|our) "
    r"word)\b|\byou have (?:my|our) word\b"
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


def speaks_as_one(sentence: str) -> bool:
    """Whether a sentence says "I" or "me": a passage never speaks so to this visitor."""
    return bool(re.search(r"\b(?:i|me|my|myself)\b", _bare(sentence).replace("i'", "i ")))


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
