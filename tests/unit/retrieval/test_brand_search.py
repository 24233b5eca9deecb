"""Which encoder searches for a brand, and what re-ranks what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.brand import Brand
from configs.home import Home
from configs.load import load_config
from retrieval import brand_search
from retrieval.brand_search import open_search, search_encoder, search_reranker
from retrieval.errors import EncoderInvalid, IndexMismatch, RerankerInvalid
from retrieval.knowledge import store
from retrieval.onnx_model import file_sha256
from retrieval.reranker import FILES, KIND
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder, write_pages

ROOT = Path(__file__).resolve().parents[3]


def _brand(encoder: str | None, reranker: str | None = None) -> Brand:
    brand = load_config(ROOT / "configs", {}).brands["velmora"]
    named = {"encoder": encoder, "reranker": reranker}
    return brand.model_copy(update={"retrieval": brand.retrieval.model_copy(update=named)})


def test_a_brand_that_names_none_is_searched_with_the_shared_one(tmp_path: Path) -> None:
    shared = HashEncoder()
    assert search_encoder(Home(tmp_path), _brand(None), shared) is shared


def test_a_version_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(EncoderInvalid, match=r"there is none yet.*brandvoice train retriever --brand velmora"):
        search_encoder(Home(tmp_path), _brand("20261125-1430"), HashEncoder())
    (tmp_path / "models/encoders/velmora/20261125-1431").mkdir(parents=True)
    (tmp_path / "models/encoders/velmora/.new-x").mkdir()
    with pytest.raises(EncoderInvalid, match=r"did you mean '20261125-1431'\?; there are 20261125-1431\. "):
        search_encoder(Home(tmp_path), _brand("20261125-1430"), HashEncoder())
    with pytest.raises(EncoderInvalid, match="incomplete"):
        search_encoder(Home(tmp_path), _brand("20261125-1431"), HashEncoder())


def test_a_base_is_bound_to_the_encoder_until_it_is_embedded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, own = Home(tmp_path), HashEncoder(name="own")
    (home.encoders / "velmora" / "v1").mkdir(parents=True)
    monkeypatch.setattr(brand_search.OnnxEncoder, "load", lambda folder: {"v1": own}[folder.name])
    pages = write_pages(tmp_path / "pages")
    store.add(home.knowledge, "velmora", pages, search_encoder(home, _brand(None), HashEncoder()))
    trained = search_encoder(home, _brand("v1"), HashEncoder())
    with pytest.raises(IndexMismatch, match="kb add"):
        KnowledgeBase.open(home.knowledge, "velmora", trained)
    store.add(home.knowledge, "velmora", pages, trained)
    found = KnowledgeBase.open(home.knowledge, "velmora", trained).search("opened item faulty", top_k=1)
    assert found.passages[0].document == "returns.md"


def test_a_re_ranker_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    home, encoder = Home(tmp_path), HashEncoder()
    assert search_reranker(home, _brand(None), encoder) is None
    with pytest.raises(RerankerInvalid, match=r"there is none yet.*--brand velmora --recipe cross_encoder"):
        search_reranker(home, _brand(None, "v2"), encoder)
    (home.rerankers / "velmora" / "v1").mkdir(parents=True)
    with pytest.raises(RerankerInvalid, match=r"retrieval.reranker of 'velmora' names 'v2'; there are v1"):
        search_reranker(home, _brand(None, "v2"), encoder)
    with pytest.raises(RerankerInvalid, match="incomplete"):
        open_search(home, _brand(None, "v1"), encoder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": None}, "holds no re-ranker"),
        ({"brand": "dicehollow"}, "trained on 'dicehollow', not on 'velmora'"),
        ({"encoder_sha256": "other"}, "together with another encoder than the 'hash'"),
        ({"files": {"model.onnx": "0" * 64, "tokenizer.json": "0" * 64}}, "not the file that was prepared"),
        ({"files": None}, "incomplete"),
    ],
)
def test_a_foreign_or_changed_re_ranker_is_refused_before_it_is_loaded(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    encoder, folder = HashEncoder(), Home(tmp_path).rerankers / "velmora" / "v1"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"something")
    manifest = {
        "kind": KIND,
        "brand": "velmora",
        "encoder_sha256": encoder.sha256,
        "files": {name: file_sha256(folder / name) for name in FILES},
    }
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changed}))
    with pytest.raises(RerankerInvalid, match=said):
        open_search(Home(tmp_path), _brand(None, "v1"), encoder)
