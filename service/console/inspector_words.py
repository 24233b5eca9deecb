"""What the inspector calls things, and what the rooms below it say, named here so that it is translated."""

from __future__ import annotations


def _(text: str) -> str:
    """Mark a text for translation where it is defined."""
    return text


PARTS = {
    "system": _("system"),
    "guide": _("voice guide"),
    "history": _("history"),
    "passages": _("passages"),
    "instruction": _("instruction"),
    "question": _("question"),
}
TIMINGS = {
    "retrieve": _("search"),
    "first_token": _("first word from the engine"),
    "generate": _("writing"),
    "first_sentence": _("first sentence to the reader"),
    "total": _("all of it"),
}
STAGES = {
    "dense": _("by meaning"),
    "lexical": _("by words"),
    "fused": _("both"),
    "late": _("word by word"),
    "cross": _("read again"),
}
STEPS = {
    "loading": _("loading"),
    "chunking": _("cutting into passages"),
    "encoder": _("search by meaning"),
    "lexical": _("search by words"),
    "fusion": _("joining both"),
    "re-rank": _("comparing word by word"),
    "cross-encoder": _("reading again"),
    "cut-off": _("the cut"),
    "fence": _("orders to an assistant"),
    "prompt budget": _("room in the prompt"),
    "decision": _("is it answerable?"),
}
NOTES = {
    "prompt_again": _("The answer was made a second time, from the best sentences alone."),
    "quoted": _("The best sentence was quoted, because nothing that the model wrote stood in the passages."),
    "own_words": _("The brand's own words were used, because those of the model would not do."),
    "refused_because": _("It was refused, because no sentence of the answer stood in its passages, twice."),
    "fenced": _("Sentences of the pages that read like orders to an assistant were left out."),
    "no_engine": _("No engine could speak."),
}
SAID = (
    _("the knowledge base holds it"),
    _("it is skipped: {reason}"),
    _("the knowledge base does not hold it"),
    _("its chunks are not for customers: internal, or out of date"),
    _("it holds no text"),
    _("its best chunk holds {words in its best chunk:.0%} of the question's words"),
    _("it is not in the list"),
    _("its best chunk stands at place {rank}"),
    _("all of it reads like orders to an assistant"),
    _("sentences that are left out: {sentences left out}"),
    _("nothing is left out"),
    _("the passages before it fill the prompt"),
    _("it fits"),
    _("the message is taken for small talk, so nothing is searched"),
    _("the message is taken for hand over, so nothing is searched"),
    _("the message is taken for empty, so nothing is searched"),
    _("the question does not say what it is about, so the bot asks back"),
    _("the question is answered"),
    _("the question is refused: the answer is probably not there"),
    _("Add the document with `brandvoice kb add FILE --brand BRAND`, which says why a file is skipped."),
    _("Put what belongs together into one section, under a heading that names the topic."),
    _("Say it in a whole sentence, as a customer would ask for it, under a heading that names the topic."),
    _("Use the customer's own words in the page: in a heading, in a question, or in brackets behind yours."),
    _("Other passages are better in one ranking and good in the other: tell them apart by their headings."),
    _("Say what the question asks for in the same sentence as its answer, or in the heading above it."),
    _("Train it again on the pages as they are now, or remove `retrieval.reranker` of the brand."),
    _("Raise `retrieval.top_k` of the brand, or join the pages that say the same and stand before it."),
    _("Take out of the page what reads like an order to an assistant; its sentences are left out of prompts."),
    _("Shorten the passages that stand before it, or lower `retrieval.top_k` of the brand."),
    _("Say it in the page as customers ask for it, or lower `retrieval.min_answerability` of the brand."),
    _("Nothing was lost: the passage stands in the prompt of an answer."),
    _("the passages are likely to hold the answer"),
    _("the passages are unlikely to hold the answer"),
    _("nothing was found"),
    _("names no matter, and nothing was said before it"),
    _("answer"),
    _("refuse"),
    _("hand_over"),
    _("ask_back"),
    _("small_talk"),
    _("empty"),
    _("documents"),
    _("reason"),
    _("chunks"),
    _("searched"),
    _("words in the document"),
    _("words in its best chunk"),
    _("rank"),
    _("cosine"),
    _("best"),
    _("candidates"),
    _("score"),
    _("re-ranked"),
    _("late"),
    _("read"),
    _("probability"),
    _("top_k"),
    _("sentences left out"),
    _("route"),
    _("answerability"),
    _("min_answerability"),
    _("bm25"),
)
"""Findings, cures, routes and decisions, as `retrieval` and the pipeline write them."""
