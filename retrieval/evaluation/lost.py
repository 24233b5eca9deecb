"""Why a brand's own search did not bring a page: `why` on the version that serves, through the search that serves."""

from __future__ import annotations

from collections.abc import Sequence

from configs.brand import Brand
from retrieval.documents.loading import Skipped, load_documents
from retrieval.encoder import Encoder
from retrieval.errors import DocumentUnreadable
from retrieval.evaluation.why import Asked, Why, explain
from retrieval.search.knowledge_base import KnowledgeBase


def why_lost(
    brand: Brand,
    knowledge: KnowledgeBase,
    shared: Encoder,
    question: str,
    document: str,
    *,
    history: Sequence[str] = (),
) -> Why:
    """Follow a document through every step of a search (blocking; seconds where its pages must be read).

    Args:
        brand: Whose.
        knowledge: What serves; it may take up another version meanwhile.
        shared: The encoder of the deployment.
        question: The customer's latest message.
        document: Id of the document that should have been found.
        history: What the customer said before, oldest first.
    """
    settings = brand.retrieval
    while True:
        found = knowledge.search(question, history=history, top_k=settings.top_k)
        version, turns = knowledge.searched(question, history)
        held = {one.id: one.rows for one in knowledge.documents()}
        if found.knowledge_version == version.name == knowledge.version:
            break
    asked = Asked(
        question, turns, found, settings.top_k, settings.min_answerability, brand.display_name, tuple(history)
    )
    skipped = () if document in held else _skipped(brand)
    return explain(
        asked, document, version, knowledge.encoder, knowledge.reranker, shared=shared, held=held, skipped=skipped
    )


def _skipped(brand: Brand) -> Sequence[Skipped]:
    try:
        return load_documents(brand.pages).skipped
    except DocumentUnreadable:
        return ()
