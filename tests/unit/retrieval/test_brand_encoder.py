"""Which encoder searches for a brand."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.brand import Brand
from configs.home import Home
from configs.load import load_config
from retrieval import brand_encoder
from retrieval.brand_encoder import search_encoder
from retrieval.errors import EncoderInvalid, IndexMismatch
from retrieval.knowledge import store
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder, write_pages

ROOT = Path(__file__).resolve().parents[3]


def _brand(encoder: str | None) -> Brand:
    brand = load_config(ROOT / "configs", {}).brands["velmora"]
    return brand.model_copy(update={"retrieval": brand.retrieval.model_copy(update={"encoder": encoder})})


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
    monkeypatch.setattr(brand_encoder.OnnxEncoder, "load", lambda folder: {"v1": own}[folder.name])
    pages = write_pages(tmp_path / "pages")
    store.add(home.knowledge, "velmora", pages, search_encoder(home, _brand(None), HashEncoder()))
    trained = search_encoder(home, _brand("v1"), HashEncoder())
    with pytest.raises(IndexMismatch, match="kb add"):
        KnowledgeBase.open(home.knowledge, "velmora", trained)
    store.add(home.knowledge, "velmora", pages, trained)
    found = KnowledgeBase.open(home.knowledge, "velmora", trained).search("opened item faulty", top_k=1)
    assert found.passages[0].document == "returns.md"
