"""Instructions whose fulfilment code can check: a registry of checks by kind, each a few lines.

The kinds and their names are those of Zhou et al., Instruction-Following Evaluation for Large Language Models,
arXiv:2311.07911, 2023; the checks are our own. They differ where the original needs data that is fetched: sentences end
at a full stop, question or exclamation mark before white space, and upper or lower case is looked at in any language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
Check = Callable[[str, Values], bool]
_WORDS_A_TOKEN = 0.7
"""English, with a tokenizer of 50,000 pieces."""
_WORDS_A_SENTENCE = 12
_PHRASES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that a reply must fulfil."""

    kind: str
    """Such as `keywords:existence`."""
    values: Values


def unknown(constraints: Sequence[Constraint]) -> list[str]:
    """Kinds that have no check."""
    return [one.kind for one in constraints if one.kind not in CHECKS]


def holds(constraint: Constraint, reply: str) -> bool:
    """Whether a reply fulfils a constraint; an empty one fulfils none.

    Raises:
        KeyError: An unknown kind, or a value that it needs and has not; as are TypeError and ValueError.
    """
    return CHECKS[constraint.kind](reply.strip(), constraint.values) and bool(reply.strip())


def fits(constraint: Constraint, tokens: int) -> bool:
    """Whether a reply of so many tokens can fulfil a constraint at all."""
    if constraint.values.get("relation") != "at least":
        return True
    words = constraint.values.get("num_words", 0) or constraint.values.get("num_sentences", 0) * _WORDS_A_SENTENCE
    return bool(words <= tokens * _WORDS_A_TOKEN)


def _compared(count: int, relation: str, wanted: int) -> bool:
    if relation not in ("at least", "less than"):
        raise ValueError(f"no relation {relation!r}")
    return count >= wanted if relation == "at least" else count < wanted


def _occurrences(word: str, reply: str) -> int:
    return len(re.findall(re.escape(word), reply, re.IGNORECASE))


def _keywords(reply: str, values: Values) -> bool:
    return all(_occurrences(word, reply) for word in values["keywords"])


def _forbidden(reply: str, values: Values) -> bool:
    words = values["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(word)}\b", reply, re.IGNORECASE) for word in words)


def _keyword_frequency(reply: str, values: Values) -> bool:
    return _compared(_occurrences(values["keyword"], reply), values["relation"], values["frequency"])


def _letter_frequency(reply: str, values: Values) -> bool:
    count = reply.lower().count(values["letter"].lower())
    return _compared(count, values["let_relation"], values["let_frequency"])


def _language(reply: str, values: Values) -> bool:
    wanted = values["language"]
    if not reply:
        return False
    import py3langid

    return bool(py3langid.classify(reply)[0] == wanted)


def _number_words(reply: str, values: Values) -> bool:
    return _compared(len(re.findall(r"\w+", reply)), values["relation"], values["num_words"])


def _number_sentences(reply: str, values: Values) -> bool:
    sentences = [one for one in re.split(r"[.!?]+[\"'”’)*]*(?:\s|$)", reply) if re.search(r"\w", one)]
    return _compared(len(sentences), values["relation"], values["num_sentences"])


def _number_paragraphs(reply: str, values: Values) -> bool:
    """Divided by `***`; one before the first or after the last does no harm, an empty part between two does."""
    parts = [one.strip() for one in re.split(r"(?<!\*)\*{3}(?!\*)", reply)]
    parts = parts[1:] if not parts[0] else parts
    parts = parts[:-1] if parts and not parts[-1] else parts
    return all(parts) and len(parts) == values["num_paragraphs"]


def _first_word(reply: str, values: Values) -> bool:
    paragraphs = [one.strip() for one in re.split(r"\n\n+", reply) if one.strip()]
    place, wanted = values["nth_paragraph"], values["first_word"].lower()
    if len(paragraphs) != values["num_paragraphs"] or place > len(paragraphs):
        return False
    word = re.search(r"\w[\w'’-]*", paragraphs[place - 1])
    return word is not None and word[0].lower() == wanted


def _placeholders(reply: str, values: Values) -> bool:
    return len(re.findall(r"\[[^\[\]]+\]", reply)) >= int(values["num_placeholders"])


def _postscript(reply: str, values: Values) -> bool:
    letters = [re.escape(one) for one in re.findall(r"\w", values["postscript_marker"])]
    return re.search(r"(?<!\w)" + r"\.?\s?".join(letters) + r"(?!\w)", reply, re.IGNORECASE) is not None


def _bullets(reply: str, values: Values) -> bool:
    return len(re.findall(r"^\s*(?:\*(?!\*)|-(?!-))\s*\S", reply, re.MULTILINE)) == int(values["num_bullets"])


def _phrases(reply: str, _: Values) -> bool:
    return any(one in reply for one in _PHRASES)


def _highlights(reply: str, values: Values) -> bool:
    found = re.findall(r"(\*{1,2})([^\n*]+)\1", reply)
    return sum(bool(text.strip()) for _, text in found) >= int(values["num_highlights"])


def _sections(reply: str, values: Values) -> bool:
    marks = re.findall(rf"\b{re.escape(values['section_spliter'])}\s?\d+", reply)
    return len(marks) >= int(values["num_sections"])


def _json(reply: str, _: Values) -> bool:
    bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", reply, flags=re.IGNORECASE)
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _title(reply: str, _: Values) -> bool:
    return any(one.strip() for one in re.findall(r"<<([^\n<>]+)>>", reply))


def _two(reply: str, _: Values) -> bool:
    parts = [one.strip() for one in re.split(r"\*{6,}", reply)]
    given = [one for one in parts if one]
    return len(given) == 2 and all(parts[1:-1]) and given[0] != given[1]


def _repeated(reply: str, values: Values) -> bool:
    return reply.lower().startswith(values["prompt_to_repeat"].strip().lower())


def _quoted(reply: str, _: Values) -> bool:
    return len(reply) > 2 and reply[0] in '"“' and reply[-1] in '"”'


def _ends(reply: str, values: Values) -> bool:
    return reply.rstrip("\"”' ").lower().endswith(values["end_phrase"].strip().rstrip("\"”' ").lower())


def _capitals(reply: str, values: Values) -> bool:
    count = sum(word.isupper() for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", reply))
    return _compared(count, values["capital_relation"], values["capital_frequency"])


def _upper(reply: str, _: Values) -> bool:
    return reply.isupper()


def _lower(reply: str, _: Values) -> bool:
    return reply.islower()


def _no_comma(reply: str, _: Values) -> bool:
    return "," not in reply


CHECKS: Mapping[str, Check] = {
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": _upper,
    "change_case:english_lowercase": _lower,
    "combination:repeat_prompt": _repeated,
    "combination:two_responses": _two,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _phrases,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _keywords,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _keyword_frequency,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_words": _number_words,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
}
