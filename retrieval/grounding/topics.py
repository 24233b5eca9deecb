"""What the words of a sentence tell: a shop's subjects, its rules, or the manner of a speaker."""

from __future__ import annotations

import re

from retrieval.language.words import STOPWORDS, fold, stem, word_list, words

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


def topic_stems(sentence: str) -> set[str]:
    """Stems of the words that neither courtesy nor the brand's way of talking explains."""
    return {stem(word) for word in words(sentence) if word not in STOPWORDS and not word.isdigit()} - _MANNER


def rule_stems(sentence: str) -> set[str]:
    """Stems of the words that rules of a shop are made of."""
    return {stem(word) for word in words(sentence)} & _RULES


def shop_topics(stems_: set[str]) -> set[str]:
    """Those of the stems that a shop makes rules about."""
    return stems_ & _TOPICS


def bare(sentence: str) -> str:
    """A sentence folded, without punctuation but apostrophes, hyphens and question marks."""
    text = re.sub(r"[^\w\s'?-]+", " ", fold(sentence))
    return " ".join(text.split())
