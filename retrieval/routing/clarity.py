"""Does a question say what it is about? If not, the one right reply is to ask back.

Conservative on purpose: an answerable question that is asked back is a failure that a visitor sees, so only a question
that names no matter at all is meant: "how much is it?", "what about the other one?", with nothing said before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.language.facts import facts
from retrieval.language.names import names
from retrieval.language.small_talk import only_small_talk
from retrieval.language.words import stem, stems, word_list
from retrieval.search.condense import depends

_NAMES_NO_MATTER = frozenset(
    stem(word)
    for word in word_list(
        """
        much cost costs price long take takes takes time many often big large small far old new high low fast soon late
        work works working happen happens mean means possible available allowed okay ok good bad better best right wrong
        true sure really still exactly actually maybe perhaps tell say know explain help need want like use get give
        go come see find do make look thing things something anything everything stuff one ones way case kind sort
        type option options other others another different same first second next last back way detail details info
        information question answer about please thank thanks now already again more less least most
        enough full details you yours me mine us hello hi hey okay number
        """
    )
)
"""Stems of words that any question may hold."""
MAX_WORDS = 9


def names_no_matter(question: str, history: Sequence[str]) -> str | None:
    """Why a question cannot be understood; None where it can.

    Args:
        question: The visitor's latest message.
        history: The visitor's earlier messages, oldest first: what they spoke of explains what points back.
    """
    if any(earlier.strip() and not only_small_talk(earlier) for earlier in history):
        return None
    if len(question.split()) > MAX_WORDS or not depends(question):
        return None
    if facts(question) or names(question) or set(stems(question)) - _NAMES_NO_MATTER:
        return None
    return "names no matter, and nothing was said before it"
