"""The sentences that answer best."""

from __future__ import annotations

from retrieval.grounding.focus import narrowed, spots
from retrieval.passages import Passage
from retrieval.testing import HashEncoder

DELIVERY = Passage(
    "shipping.md",
    "Delivery",
    "Delivery > Prices",
    "| Service | Price |\n|---|---|\n| Standard | $6 |\n| Express | $15 |\n\n- Express parcels leave at noon.",
    0.9,
)
STORES = Passage("stores.md", "Stores", "Stores", "Stores keep a parcel for 7 days. We wrap presents.", 0.5)


def test_each_sentence_item_and_row_stands_alone_and_a_row_is_read_with_its_head() -> None:
    found = spots("price of express", (DELIVERY, STORES), HashEncoder())
    assert {spot.text for spot in found} == {
        "Service: Standard, Price: $6.",
        "Service: Express, Price: $15.",
        "Express parcels leave at noon.",
        "Stores keep a parcel for 7 days.",
        "We wrap presents.",
    }
    assert found[0].text == "Service: Express, Price: $15."
    assert list(found) == sorted(found, key=lambda spot: -spot.fit)


def test_passages_are_narrowed_to_sentences_and_come_whole_beside() -> None:
    found = spots("price of express", (DELIVERY, STORES), HashEncoder())
    kept = [spot for spot in found if "$15" in spot.text or "7 days" in spot.text]
    short, whole = narrowed((DELIVERY, STORES), kept)
    assert [passage.text for passage in short] == [
        "| Service | Price |\n|---|---|\n| Express | $15 |",
        "Stores keep a parcel for 7 days.",
    ]
    assert whole == (DELIVERY, STORES)


def test_nothing_is_found_in_nothing() -> None:
    assert spots("anything", (), HashEncoder()) == ()
