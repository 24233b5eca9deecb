"""What searches for a brand: the deployment's encoder, or models that were trained on the brand's own pages.

Routes, checks and intents keep the deployment's encoder: what they decide by was fitted on its vectors.
"""

from __future__ import annotations

from pathlib import Path

from configs.brand import Brand
from configs.home import Home
from configs.yaml_file import did_you_mean
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.errors import EncoderInvalid, RerankerInvalid, RetrievalError
from retrieval.reranker import OnnxReranker, Reranker
from retrieval.search.asked import open_asked
from retrieval.search.knowledge_base import KnowledgeBase


def search_encoder(home: Home, brand: Brand, shared: Encoder) -> Encoder:
    """The encoder that a brand's knowledge is embedded and searched with.

    Args:
        home: Where trained encoders lie.
        brand: Whose; `retrieval.encoder` names a version.
        shared: The encoder of the deployment.

    Raises:
        EncoderInvalid: There is no such version, or it is not what was trained.
    """
    version = brand.retrieval.encoder
    if version is None:
        return shared
    train = f"brandvoice train retriever --brand {brand.name}"
    return OnnxEncoder.load(_version(home.encoders / brand.name, version, "encoder", train, EncoderInvalid))


def search_reranker(home: Home, brand: Brand, encoder: Encoder) -> Reranker | None:
    """What re-ranks the best passages of a brand's search; None where the brand names nothing.

    Args:
        home: Where trained re-rankers lie.
        brand: Whose; `retrieval.reranker` names a version.
        encoder: That searches for the brand, as `search_encoder` gives it.

    Raises:
        RerankerInvalid: There is no such version, it is not what was trained, or it belongs to something else.
    """
    version = brand.retrieval.reranker
    if version is None:
        return None
    train = f"brandvoice train retriever --brand {brand.name} --recipe cross_encoder"
    folder = _version(home.rerankers / brand.name, version, "reranker", train, RerankerInvalid)
    return OnnxReranker.load(folder, brand=brand.name, encoder=encoder)


def open_search(home: Home, brand: Brand, shared: Encoder) -> KnowledgeBase:
    """What a brand answers from, searched as its settings say.

    Args:
        home: Where knowledge and trained models lie.
        brand: Whose.
        shared: The encoder of the deployment.

    Raises:
        RetrievalError: Knowledge, encoder or re-ranker are missing, damaged, or do not belong together.
    """
    encoder = search_encoder(home, brand, shared)
    asked = open_asked(brand.conversations, shared) if brand.retrieval.asked else None
    return KnowledgeBase.open(home.knowledge, brand.name, encoder, search_reranker(home, brand, encoder), asked)


def _version(below: Path, version: str, setting: str, train: str, invalid: type[RetrievalError]) -> Path:
    """The folder of a trained version."""
    if not (below / version).is_dir():
        known = sorted(one.name for one in below.glob("[!.]*") if one.is_dir())
        raise invalid(
            f"retrieval.{setting} of {below.name!r} names {version!r}{did_you_mean(version, known)}; there "
            f"{'are ' + ', '.join(known) if known else 'is none yet'}. Correct it, or make one: `{train}`."
        )
    return below / version
