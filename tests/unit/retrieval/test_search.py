"""Search: condensing, both rankings, fusion, refusal."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import bm25s
import numpy as np
import pytest

from retrieval.evaluation.held_out import evaluate_folder, evaluate_retrieval
from retrieval.knowledge import index as index_module
from retrieval.knowledge.index import FaissIndex
from retrieval.knowledge.late import TokenIndex
from retrieval.knowledge.lexical import K1, B, LexicalIndex
from retrieval.knowledge.postings import Postings
from retrieval.knowledge.spelling import Spelling, Vocabulary
from retrieval.knowledge.store import add
from retrieval.language.words import stems
from retrieval.passages import SearchResult
from retrieval.search.answerability import answerability, features
from retrieval.search.asked import BOUND
from retrieval.search.condense import condense, decay, window
from retrieval.search.fusion import CROSS_WEIGHT, DENSE_WEIGHT, LATE_WEIGHT, fuse, read_again, rerank
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.search.ranking import READ
from retrieval.testing import PAGES, Fond, HashEncoder, write_pages


@pytest.fixture
def knowledge(tmp_path: Path) -> KnowledgeBase:
    add(tmp_path / "k", "velmora", write_pages(tmp_path / "pages"), HashEncoder())
    return KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder())


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("Can I return an unopened item?", "returns.md"),
        ("what does express delivery cost", "shipping.md"),
        ("When is customer care available?", "contact.md"),
    ],
)
def test_page_with_the_answer_comes_first(knowledge: KnowledgeBase, question: str, document: str) -> None:
    found = knowledge.search(question, top_k=2)
    assert found.passages[0].document == document
    assert len(found.passages) == 2
    assert [one.score for one in found.passages] == sorted((one.score for one in found.passages), reverse=True)
    assert all(0 <= one.score <= 1 for one in found.passages)
    assert found.knowledge_version == knowledge.version


def test_a_cross_encoder_reads_the_first_again_and_changes_their_order(tmp_path: Path) -> None:
    pages = {f"lamp-{at:02}.md": f"# Lamp {at}\n\nThe lamp of size {at} costs ${at}.\n" for at in range(READ + 8)}
    add(tmp_path / "k", "velmora", write_pages(tmp_path / "pages", pages), HashEncoder())
    plain = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder()).search("what does a lamp cost", top_k=READ + 8)
    order = [one.document for one in plain.passages]
    wanted, unread = plain.passages[READ - 1], plain.passages[READ]
    fond = Fond(wanted.text)
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder(), fond)
    found = knowledge.search("what does a lamp cost", top_k=READ + 8).passages
    assert [one.document for one in found] == [wanted.document, *order[: READ - 1], *order[READ:]]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found[0].score == pytest.approx((1 - CROSS_WEIGHT) * wanted.score + CROSS_WEIGHT)
    assert [one.scores.get("cross") for one in found] == [1.0] + [0.0] * (READ - 1) + [None] * 8
    assert len(fond.read) == READ
    # It reads what the encoder embeds, title and heading included, as it was trained on.
    assert any(one.startswith(f"{wanted.title}\n") and wanted.text in one for one in fond.read)
    assert not any(unread.text in one for one in fond.read)
    assert "cross" not in plain.passages[0].scores


def test_a_cross_encoder_speaks_for_the_turn_that_it_read(tmp_path: Path) -> None:
    score, probability = np.array([0.8, 0.6], np.float32), np.array([0.0, 1.0], np.float32)
    for share in (1.0, 0.5):
        weight = CROSS_WEIGHT * share
        assert read_again(score, probability, share).tolist() == pytest.approx(
            [0.8 * (1 - weight), 0.6 * (1 - weight) + weight]
        )


def test_a_question_that_is_a_heading_stays_first_whatever_the_cross_encoder_says(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages")
    add(tmp_path / "k", "velmora", pages, HashEncoder())
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder(), Fond("Customer care"))
    assert knowledge.search("Opened items", top_k=1).passages[0].heading == "Returns > Opened items"
    assert knowledge.search("items that were opened", top_k=1).passages[0].document == "contact.md"


def test_passage_is_an_exact_piece_of_its_document(knowledge: KnowledgeBase) -> None:
    for passage in knowledge.search("delivery").passages:
        assert knowledge.text(passage.document)[passage.start : passage.end] == passage.text


def test_related_question_is_more_answerable_than_a_foreign_one(knowledge: KnowledgeBase) -> None:
    near = knowledge.search("Can an unopened item be returned within 30 days?")
    far = knowledge.search("Who painted the ceiling of the chapel?")
    assert near.answerability > 0.5 > far.answerability
    assert near.features.keys() == {"dense", "late", "covered"}


@pytest.mark.parametrize("question", ["", "   ", "🎮", "?!"])
def test_question_without_words_finds_nothing_answerable(knowledge: KnowledgeBase, question: str) -> None:
    assert knowledge.search(question).answerability < 0.5


def test_follow_up_is_searched_with_what_it_follows(knowledge: KnowledgeBase) -> None:
    found = knowledge.search("And if it is opened?", history=["Can I return an item?"])
    assert found.query == "Can I return an item?\nAnd if it is opened?"
    assert found.passages[0].document == "returns.md"


def test_slip_of_the_keyboard_is_put_right(knowledge: KnowledgeBase) -> None:
    assert knowledge.search("can i retrun it unopend").query == "can i return it unopened"


def test_searches_beside_a_refresh_all_see_one_whole_version(tmp_path: Path) -> None:
    encoder = HashEncoder()
    pages = write_pages(tmp_path / "pages")
    add(tmp_path / "k", "velmora", pages, encoder)
    knowledge = KnowledgeBase.open(tmp_path / "k", "velmora", encoder)
    results: list[SearchResult] = []
    threads = [
        threading.Thread(target=lambda: results.extend(knowledge.search("return an item") for _ in range(30)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    (pages / "extra.md").write_text("# Extra\n\nReturn an item of the extra kind.\n", encoding="utf-8")
    add(tmp_path / "k", "velmora", pages, encoder)
    knowledge.refresh()
    for thread in threads:
        thread.join()
    assert len(results) == 120
    for found in results:
        has_extra = "extra.md" in [one.document for one in found.passages]
        assert has_extra == (found.knowledge_version == knowledge.version)


@pytest.mark.parametrize(
    ("question", "history", "query"),
    [
        ("how much", ["Do you sell a stole?"], "Do you sell a stole?\nhow much"),
        ("And to Canada?", ["What does delivery cost?"], "What does delivery cost?\nAnd to Canada?"),
        ("Is it waterproof?", ["a watch", "thanks!"], "a watch\nIs it waterproof?"),
        (
            "and then?",
            ["one long question about gift cards", "what if it is lost", "how long"],
            "what if it is lost\nhow long\nand then?",
        ),
        ("How do I reset the password of my account?", ["What is a stole?"], None),
        ("Is there a discount for orders of many ties?", ["What is a stole?"], None),
        ("return window?", [], None),
    ],
)
def test_only_a_dependent_question_takes_history_along(question: str, history: list[str], query: str | None) -> None:
    assert condense(question, history) == (query or question)


def test_fusion_keeps_distances_and_each_ranking_counts() -> None:
    dense, lexical = np.array([0.9, 0.5, 0.1], np.float32), np.array([0.0, 4.0, 2.0], np.float32)
    nothing = np.zeros(3, np.float32)
    by_words = 1 - DENSE_WEIGHT
    assert fuse(dense, nothing, lexical, nothing).tolist() == pytest.approx(
        [DENSE_WEIGHT, DENSE_WEIGHT / 2 + by_words, by_words / 2]
    )
    assert fuse(dense, nothing, nothing, nothing).tolist() == pytest.approx([DENSE_WEIGHT, DENSE_WEIGHT / 2, 0.0])
    assert fuse(nothing, dense, nothing, nothing).tolist() == pytest.approx([DENSE_WEIGHT, DENSE_WEIGHT / 2, 0.0])
    assert fuse(nothing, nothing, nothing, lexical).tolist() == pytest.approx([0.0, by_words, by_words / 2])
    fused, late = np.array([0.8, 0.6], np.float32), np.array([0.2, 0.4], np.float32)
    for share in (1.0, 0.5):
        weight = LATE_WEIGHT * share
        assert rerank(fused, late, share).tolist() == pytest.approx([0.8 * (1 - weight), 0.6 * (1 - weight) + weight])


def test_token_vectors_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(size=(7, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    chunks = [rows[:2], rows[2:6], rows[6:]]
    TokenIndex.write(tmp_path / "tokens", chunks)
    index = TokenIndex.load(tmp_path / "tokens", 384)
    kept = [index.tokens(at) for at in range(3)]
    assert [len(one) for one in kept] == [2, 4, 1]
    assert np.abs(np.concatenate(kept) @ rows.T - rows @ rows.T).max() < 0.003
    # A merge of segments writes what it read: nothing may be lost by the second writing.
    TokenIndex.write(tmp_path / "again", kept)
    assert (tmp_path / "again" / "tokens.i8").read_bytes() == (tmp_path / "tokens" / "tokens.i8").read_bytes()


def test_late_interaction_is_the_best_cosine_of_each_word_in_each_chunk(knowledge: KnowledgeBase) -> None:
    version, _ = knowledge.searched()
    query = HashEncoder().encode_query_tokens("express delivery zebra")
    positions = np.arange(len(version))
    by_hand = [(query @ np.asarray(version.tokens.tokens(at), np.float32).T).max(axis=1) for at in positions]
    assert version.tokens.best(query, positions) == pytest.approx(np.array(by_hand), abs=1e-6)
    assert version.tokens.best(query, positions[:0]).shape == (0, 3)


def test_a_short_chunk_is_found_by_what_its_document_is_about(tmp_path: Path) -> None:
    for name in ("Lumen", "Orbit", "Vesper"):
        text = f"# {name}\n\nThe {name} lamp.\n\n# Care\n\nWipe it with a dry cloth, number {len(name)}.\n"
        (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
    add(tmp_path / "k", "velmora", tmp_path, HashEncoder())
    found = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder()).search("wipe orbit dry", top_k=1)
    assert (found.passages[0].document, found.passages[0].heading) == ("Orbit.md", "Care")


def test_a_question_that_is_a_heading_finds_its_section_first(tmp_path: Path) -> None:
    asked = "Did the lamp lose its colour?"
    (tmp_path / "faq.md").write_text(f"# Help\n\n## {asked}\n\nSend it back.\n", encoding="utf-8")
    for at in range(3):
        text = f"# Lamp {at}\n\nA lamp may lose colour. Did the colour of the lamp {at} lose its colour, lamp?\n"
        (tmp_path / f"lamp-{at}.md").write_text(text, encoding="utf-8")
    add(tmp_path / "k", "velmora", tmp_path, HashEncoder())
    found = KnowledgeBase.open(tmp_path / "k", "velmora", HashEncoder()).search(asked)
    assert found.passages[0].document == "faq.md"
    assert found.passages[0].score <= 1


def test_more_passages_are_the_same_ones_and_more(knowledge: KnowledgeBase) -> None:
    wide = knowledge.search("How long can I return an item?", top_k=50).passages
    assert [one.score for one in wide] == sorted((one.score for one in wide), reverse=True)
    for top_k in range(1, len(wide)):
        assert knowledge.search("How long can I return an item?", top_k=top_k).passages == wide[:top_k]


def test_turns_weigh_less_the_older_they_are_and_empty_talk_is_left_out() -> None:
    history = ["What does delivery cost?", "thanks!", "yes", "For two parcels?"]
    assert [(one.text, one.weight) for one in window("And to Canada?", history, 0.5)] == [
        ("And to Canada?", 1.0),
        ("For two parcels?", 0.5),
        ("What does delivery cost?", 0.25),
    ]
    assert [one.text for one in window("yes", ["Is it silk?"], 0.5)] == ["Is it silk?"]
    assert [one.text for one in window("hello", [], 0.5)] == ["hello"]


def test_turns_fade_slower_where_documents_are_long() -> None:
    assert 0 < decay(1) < decay(4) == 0.5 < decay(16) < 1


def test_a_graph_finds_what_comparing_one_by_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(900, 24)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    FaissIndex.build(rows, exact_up_to=100).save(tmp_path / "graph")
    graph, flat = FaissIndex.load(tmp_path / "graph"), FaissIndex.build(rows)
    assert graph.rows(np.array([7, 3])).tolist() == rows[[7, 3]].tolist()
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 50)
    for share in (1.0, 0.5, 0.02):
        among = draw.random(900) < share if share < 1 else None
        found = []
        for vector in rows[:40]:
            right, cosines = flat.search(vector, 10, among)
            got, _ = graph.search(vector, 10, among)
            assert among is None or among[got].all()
            found.append(len(set(right) & set(got)) / len(right))
            assert np.all(np.diff(cosines) <= 0)
        assert np.mean(found) >= (0.95 if share > 0.1 else 1.0)


def test_words_match_by_stem_and_without_accents() -> None:
    index = LexicalIndex.build(["Heure Bleutée has notes of iris", "Returns are free", "the and of"])
    assert index.scores(Counter(stems("bleutee note")))[0].argmax() == 0
    assert index.scores(Counter(stems("returned")))[0].argmax() == 1
    assert index.scores(Counter(stems("zebra")))[0].tolist() == [0.0, 0.0, 0.0]


def test_scores_are_those_of_bm25s_over_what_is_searched() -> None:
    texts = [" ".join(pages.split()) for pages in PAGES.values()] + ["delivery delivery", "returned opened", "the"]
    rows = [stems(text) for text in texts]
    hidden, documents = np.array([0, 1, -1, 2, -1, 3]), np.array([0, 2, 2, 3])
    index = LexicalIndex([(Postings.build(rows), hidden)], documents)
    searched = [rows[at] for at in np.flatnonzero(hidden >= 0)]
    peers = [bm25s.BM25(method="lucene", k1=K1, b=B) for _ in range(2)]
    peers[0].index(searched, show_progress=False)
    # Of document 1 nothing is searched.
    peers[1].index([searched[0], searched[1] + searched[2], searched[3]], show_progress=False)
    for query in (stems("delivery"), stems("item item returned"), stems("delivery of an opened zebra")):
        chunks, whole = index.scores(Counter(query))
        known = [stem for stem in query if stem in peers[0].vocab_dict]
        assert chunks == pytest.approx(peers[0].get_scores(known), abs=1e-5)
        assert whole[[0, 2, 3]] == pytest.approx(peers[1].get_scores(known), abs=1e-5)
        assert whole[1] == 0


def test_index_of_nothing_but_function_words_scores_zero() -> None:
    assert LexicalIndex.build(["the and of"]).scores({"return": 1.0})[0].tolist() == [0.0]


def test_only_words_in_no_dictionary_are_corrected() -> None:
    spelling = Spelling(Vocabulary.of(["Warranty and guarantee of the Lumenne scarf"]), {"scarce"}.__contains__)
    assert spelling.correct("Garantee on scarce lumenne scraf?") == "guarantee on scarce lumenne scarf?"
    assert spelling.correct("zzzzzz") == "zzzzzz"


def test_answerability_rises_with_each_feature_and_is_a_probability() -> None:
    assert features("anything", ()) == {"dense": 0.0, "late": 0.0, "covered": 0.0}
    middle = {"dense": 0.4, "late": 0.4, "covered": 0.5}
    for name in middle:
        assert answerability(middle | {name: 0.9}) > answerability(middle)
    assert 0 < answerability(dict.fromkeys(middle, 0.0)) < 0.05
    assert 0.95 < answerability(dict.fromkeys(middle, 1.0)) < 1
    # What the brand was asked before moves it both ways, and never past a page that says it word for word.
    said = [answerability(middle | {"asked": score}) for score in (-BOUND, 0.0, BOUND)]
    assert said == sorted(said)
    assert said[0] < 0.5 < said[2]
    assert answerability({"dense": 0.6, "late": 0.9, "covered": 1.0, "asked": -BOUND}) > 0.5


class Asked:
    """A held-out question."""

    def __init__(self, id_: str, question: str, document: str | None) -> None:
        self.id, self.question, self.document = id_, question, document


def test_report_counts_hits_misses_and_refusals(knowledge: KnowledgeBase) -> None:
    report = evaluate_retrieval(
        knowledge,
        [
            Asked("hit", "Can an unopened item be returned within 30 days?", "returns.md"),
            Asked("miss", "Can an unopened item be returned within 30 days?", "absent.md"),
            Asked("mistake", "who painted the ceiling", "returns.md"),
            Asked("right", "who painted the ceiling", None),
            Asked("anyway", "Can an unopened item be returned within 30 days?", None),
        ],
    )
    assert (report.answerable, report.unanswerable) == (3, 2)
    assert report.missed == ("miss",)
    assert report.refused_by_mistake == ("mistake",)
    assert report.answered_anyway == ("anyway",)
    assert report.refused == pytest.approx(0.5)
    assert report.wrongly_refused == pytest.approx(1 / 3)
    assert report.hit_at_5 == pytest.approx(2 / 3)


def test_questions_that_belong_to_a_person_are_no_part_of_a_folder_s_report(tmp_path: Path) -> None:
    write_pages(tmp_path / "acme" / "pages")
    lines = [
        {"id": "a", "question": "Can an unopened item be returned within 30 days?", "document": "returns.md"},
        {"id": "b", "question": "who painted the ceiling", "document": None},
        {"id": "c", "question": "where is my parcel", "document": None, "handoff": True},
    ]
    (tmp_path / "acme" / "questions.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    report = evaluate_folder(tmp_path / "acme", HashEncoder())
    assert (report.answerable, report.unanswerable, report.hit_at_1) == (1, 1, 1.0)
