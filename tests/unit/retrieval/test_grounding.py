"""The check of sentences: right facts pass with their source, wrong ones do not, in both voices."""

from __future__ import annotations

import pytest

from retrieval.grounding.check import SentenceCheck, check_sentence
from retrieval.passages import Passage
from retrieval.testing import HashEncoder

SHIPPING = Passage(
    "shipping.md",
    "Delivery",
    "Delivery > Times and costs",
    "| Service | Time | Cost |\n|---|---|---|\n| Standard delivery | 3 to 5 business days | $6 |\n"
    "| Express delivery | 1 business day | $15 |\n\n"
    "Standard delivery takes 3 to 5 business days and costs $6. Standard delivery is free on orders over $75.",
    0.9,
)
RETURNS = Passage(
    "returns.md",
    "Returns",
    "Returns > Return period",
    "An unopened item can be returned within 30 days of delivery. "
    "The item must be unused and in its original packaging.",
    0.8,
)
CONTACT = Passage(
    "contact.md",
    "Contact",
    "Contact",
    "Customer care is available Monday to Saturday from 9 am to 7 pm. Write to care@velmora.example or call 555-0142. "
    "The page www.velmora.example/help has more. Perfume cannot be sent by express, because it may not travel by air. "
    "The card is charged when the order ships. The card is not charged for a cancelled order.",
    0.7,
)
PASSAGES = (SHIPPING, RETURNS, CONTACT)


def check(sentence: str, passages: tuple[Passage, ...] = PASSAGES, question: str = "") -> SentenceCheck:
    return check_sentence(
        sentence, passages, question=question, encoder=HashEncoder(), allowed_names=("Maison Velmora",)
    )


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("Kindly note that an unopened piece may be returned within 30 days of delivery.", 2),
        ("You've got 30 days from delivery to send back unopened loot!", 2),
        ("Good news! You've got 30 days from delivery to send back unopened loot!", 2),
        ("At Maison Velmora an unopened item can be returned within thirty days of delivery.", 2),
        ("Standard shipping takes 3-5 working days and sets you back six dollars!", 1),
        ("Express costs $15 and standard costs $6.", 1),
        ("Express delivery takes 1 business day and costs $15.", 1),
        ("Standard delivery is free on orders over $75.", 1),
        ("Customer care is available Monday to Saturday from 9 a.m. to 7 PM.", 3),
        ("Write to care@velmora.example.", 3),
        ("You can call us on 555-0142.", 3),
        ("See www.velmora.example/help for more.", 3),
        ("Perfume can't be sent by express.", 3),
    ],
)
def test_claim_with_the_facts_of_a_passage_passes_with_that_source(sentence: str, source: int) -> None:
    found = check(sentence)
    assert (found.kind, found.supported, found.source, found.missing) == ("claim", True, source, ())


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        pytest.param("You have 60 days from delivery to return an unopened item.", "60", id="number"),
        pytest.param("You have 30 months to return an unopened item.", "30", id="unit"),
        pytest.param("Standard delivery takes 3 to 5 days.", "3", id="days for business days"),
        pytest.param("Standard delivery costs $7.", "$7", id="price"),
        pytest.param("You can call us on 555-0143.", "0143", id="phone"),
        pytest.param("Write to help@velmora.example.", "help@velmora.example", id="e-mail"),
        pytest.param("See www.velmora.example/returns for more.", "www.velmora.example/returns", id="link"),
        pytest.param("Customer care is available from 9 am to 8 pm.", "8 pm", id="time"),
        pytest.param("Customer care is available Monday to Sunday.", "monday to sunday", id="days"),
        pytest.param("Standard delivery with DHL takes 3 to 5 business days.", "DHL", id="name"),
        pytest.param("Customer care in Chicago is available from 9 am to 7 pm.", "Chicago", id="place"),
        pytest.param('Choose "Return all" to return an unopened item within 30 days.', "return all", id="label"),
        pytest.param("Did you know you have 90 days to return an item?", "90", id="number in a question"),
    ],
)
def test_claim_with_a_fact_of_no_passage_fails_and_names_it(sentence: str, missing: str) -> None:
    found = check(sentence)
    assert not found.supported
    assert found.source is None
    assert any(missing in one.lower() or missing in one for one in found.missing), found


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Express delivery costs $6.", ""),
        ("Standard delivery costs $15.", ""),
        ("Express delivery takes 3 to 5 business days.", ""),
        ("Express costs $6 and standard costs $15.", ""),
        ("Express delivery takes 1 business day and costs $6.", ""),
        ("Express delivery is free on orders over $75.", ""),
        ("It costs $6.", "How much is express delivery?"),
        ("Standard delivery is free on orders over $6.", ""),
    ],
)
def test_fact_of_another_line_is_not_lent_to_this_one(sentence: str, question: str) -> None:
    assert not check(sentence, question=question).supported


STORES = Passage(
    "stores.md",
    "Stores",
    "Stores > Addresses",
    "| Store | Address | Sunday |\n|---|---|---|\n| New York | 18 Lantern Court | closed |\n"
    "| Chicago | 240 Alderbrook Avenue | 12 pm to 5 pm |\n| Toronto | 95 Wexcombe Street | closed |",
    0.9,
)


@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        ("The Toronto store is at 95 Wexcombe Street.", True),
        ("The Toronto store is found at 18 Lantern Court.", False),
        ("Our Chicago store is at 95 Wexcombe Street.", False),
        ("The store in Toronto is open on Sunday from 12 pm to 5 pm.", False),
    ],
)
def test_what_a_table_says_of_one_row_is_not_lent_to_another(sentence: str, held: bool) -> None:
    assert check(sentence, (STORES,)).supported is held


def test_pronoun_is_read_as_what_was_asked_about() -> None:
    assert check("It costs $15.", question="How much is express delivery?").source == 1


@pytest.mark.parametrize(
    "sentence",
    [
        pytest.param("An unopened item cannot be returned within 30 days of delivery.", id="no for yes"),
        pytest.param("Perfume can be sent by express.", id="yes for no"),
        pytest.param("Perfume can be sent by express, because it may not travel by air.", id="one clause turned"),
        pytest.param("The card is not charged when the order ships.", id="the other sentence's no"),
        pytest.param("An opened item can be returned within 30 days of delivery.", id="opened for unopened"),
        pytest.param("An unopened item can be returned after 30 days of delivery.", id="after for within"),
        pytest.param("Delivery is free.", id="condition left out"),
        pytest.param("Returns are always accepted.", id="rule without a fact"),
        pytest.param("All sales are final!", id="rule in a cheer"),
        pytest.param("Perfumes are hypoallergenic.", id="invented property"),
        pytest.param("Yes, you can!", id="bare yes"),
    ],
)
def test_sentence_that_says_something_else_than_the_passages_fails(sentence: str) -> None:
    found = check(sentence)
    assert (found.kind, found.supported) == ("claim", False)


def test_fact_from_the_question_is_no_evidence() -> None:
    assert not check("We ship with DHL within 2 days.", question="Do you ship with DHL within 2 days?").supported


@pytest.mark.parametrize(
    "sentence",
    [
        "We remain at your disposal.",
        "It is our pleasure to assist you.",
        "We thank you for your understanding.",
        "Good news!",
        "Happy gaming!",
        "Enjoy your loot, hero! 🎮",
        "GG!",
        "👍",
    ],
)
def test_style_passes_without_a_source(sentence: str) -> None:
    found = check(sentence)
    assert (found.kind, found.supported, found.source) == ("style", True, None)


def test_offer_as_a_question_passes() -> None:
    assert check("Would you like anything else?").kind == "question"


@pytest.mark.parametrize(
    "sentence",
    [
        "I will refund you today.",
        "We'll call you tomorrow.",
        "I have cancelled your order.",
        "Your refund has been processed.",
        "We promise you will love it.",
        "Our team will send you a new one.",
        "We would be delighted to refund you in full.",
        "We are passing your conversation to a colleague.",
        "You will receive a refund soon.",
    ],
)
def test_promise_never_passes(sentence: str) -> None:
    found = check(sentence)
    assert (found.kind, found.supported) == ("promise", False)


@pytest.mark.parametrize(
    "sentence",
    [
        "We regret that our help pages hold no information on this subject.",
        "Ah, that one's not in our help pages, and we won't bluff.",
        "We are passing your conversation to a person of our team.",
        "Good day, and welcome to Maison Velmora.",
    ],
)
def test_refusal_hand_over_and_greeting_are_style_where_nothing_was_looked_up(sentence: str) -> None:
    assert check(sentence, ()).kind == "style"


@pytest.mark.parametrize("sentence", ["Returns are free.", "It takes 3 days.", "Delivery is insured."])
def test_rule_without_any_passage_fails(sentence: str) -> None:
    found = check(sentence, ())
    assert (found.kind, found.supported) == ("claim", False)


def test_citation_marks_of_the_model_are_not_read_as_numbers() -> None:
    assert check("An unopened item can be returned within 30 days of delivery [7].").source == 2


def test_what_is_missing_is_named_in_the_words_that_were_written() -> None:
    found = check("A return is a common practice in the industry.")
    assert not found.supported
    assert {"common", "practice", "industry"} <= set(found.missing)


HOTEL = Passage(
    "stay.md",
    "Your stay",
    "Your stay",
    "Rooms are ready from 15:00 and must be left by noon. Dinner is served from 6:30 pm to 10 pm. "
    "A massage lasts 90 minutes and costs $1,200 a year for members. Boats and trailers are not eligible. "
    "Calls to premium numbers are blocked. Contactless payment works without a PIN. "
    "Unused vouchers are carried over to the next month. Dr. Imani Cole sees children on Wednesdays. "
    "Oiled oak is treated every six months. Records are sent within 10 working days. Parking is free of charge. "
    "The desk is open on weekdays.",
    0.9,
)


@pytest.mark.parametrize(
    "sentence",
    [
        "Dinner is served from half past six to ten in the evening.",
        "Your room is ready from three in the afternoon and must be left by 12 pm.",
        "A massage lasts an hour and a half.",
        "A massage costs 1200 dollars a year for members.",
        "Oiled oak is treated twice a year.",
        "Records are sent within two weeks.",
        "Vouchers that you don't use are carried over to the next month.",
        "There is no charge for parking.",
        "Fear not, hero, boats and trailers are not eligible.",
        "Kindly note that boats and trailers are not eligible.",
        "The desk is open Monday to Friday.",
        "Boats and trailers don't qualify, as they are not eligible.",
    ],
)
def test_other_wordings_of_a_fact_are_that_fact(sentence: str) -> None:
    assert check(sentence, (HOTEL,)).supported, sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "Dinner is served from half past seven to ten in the evening.",
        "A massage lasts an hour and a quarter.",
        "Oiled oak is treated twice a month.",
        "Records are sent within three weeks.",
        "Contactless payment works with a PIN.",
        "Calls to premium numbers can be made.",
        "Boats and trailers are eligible.",
        "There is some charge for parking.",
        "Dr. Zenvo sees children on Wednesdays.",
    ],
)
def test_a_changed_fact_in_another_wording_is_caught(sentence: str) -> None:
    assert not check(sentence, (HOTEL,)).supported, sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "Let me reset that for you.",
        "I'll add a discount to your next bill.",
        "I've taken the liberty of cancelling that charge.",
        "A partner will call you.",
        "Your deposit has been released.",
        "I took the fee off for you.",
    ],
)
def test_acts_in_other_words_are_promises(sentence: str) -> None:
    assert check(sentence, (HOTEL,)).kind == "promise"


def test_what_we_do_by_a_passage_is_no_promise() -> None:
    assert check("We'll send your records within ten working days.", (HOTEL,)).source == 1


def test_a_loop_of_words_that_a_passage_holds_is_not_shown() -> None:
    found = check("An unopened item can be returned an unopened item can be returned an unopened item can be returned.")
    assert not found.supported
    assert "again and again" in found.reason
