"""What the people of a brand put right in the story of the whole loop: ten facts and ten ways to say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A page that says what is no longer so."""

    question: str
    unseen: str
    """The same need in other words, which nobody corrects."""
    document: str
    old: str
    """As the page has it."""
    new: str
    was: str
    """What a wrong answer holds, ..."""
    holds: str
    """... and a right one."""


@dataclass(frozen=True, slots=True)
class Voice:
    """An answer that is right, and not said as the house wants it now."""

    question: str
    unseen: str
    document: str
    better: str
    """The reply as it should have been, without the closing words."""


CLOSING = "We wish you a most pleasant day."
"""With which the house has decided to end its answers."""

FACTS = (
    Fact(
        "How soon is a complaint answered?",
        "I sent a complaint by email. When will an adviser answer it?",
        "contact.md",
        "answered within 3 business days",
        "answered within 8 business days",
        "3 business days",
        "8 business days",
    ),
    Fact(
        "What are 500 points worth?",
        "How much money do I get for 500 points of the Velmora Circle?",
        "loyalty.md",
        "500 points are worth $20",
        "500 points are worth $25",
        "$20",
        "$25",
    ),
    Fact(
        "How long does a private appointment last?",
        "how much time is kept for me at a private appointment in the boutique",
        "stores-and-hours.md",
        "lasts 45 minutes",
        "lasts 75 minutes",
        "45 minutes",
        "75 minutes",
    ),
    Fact(
        "How long are chat conversations kept?",
        "for how many days do you store our chat",
        "privacy.md",
        "kept for 90 days",
        "kept for 40 days",
        "90 days",
        "40 days",
    ),
    Fact(
        "What is the power reserve of the automatic movement?",
        "How many hours does an automatic watch run when I do not wear it? I mean its power reserve.",
        "watches.md",
        "power reserve of 42 hours",
        "power reserve of 72 hours",
        "42 hours",
        "72 hours",
    ),
    Fact(
        "How long does a perfume keep after opening?",
        "I opened my perfume today. For how many months will it keep?",
        "fragrance.md",
        "keeps for 36 months",
        "keeps for 24 months",
        "36 months",
        "24 months",
    ),
    Fact(
        "What does it cost to have initials embossed on a bag?",
        "price for embossing three initials on my tote?",
        "leather-bags.md",
        "on any bag for $30",
        "on any bag for $55",
        "$30",
        "$55",
    ),
    Fact(
        "For how long is a gift card valid?",
        "my gift card was bought last year, for how many years can it be used",
        "gift-cards.md",
        "is valid for 3 years",
        "is valid for 5 years",
        "3 years",
        "5 years",
    ),
    Fact(
        "For how long is a repair guaranteed?",
        "You repaired my clasp. How many months of guarantee does the repair have?",
        "repairs.md",
        "guaranteed for 6 months",
        "guaranteed for 9 months",
        "6 months",
        "9 months",
    ),
    Fact(
        "My payment was declined. How long is my order kept?",
        "for how many hours do you keep an order when the payment is declined",
        "payment.md",
        "is kept for 24 hours",
        "is kept for 48 hours",
        "24 hours",
        "48 hours",
    ),
)

VOICES = (
    Voice(
        "Is the return label free of charge?",
        "do I have to pay for the label when I send something back",
        "returns.md",
        "The return label is free. A client without a printer may show the label on a telephone at the drop-off point.",
    ),
    Voice(
        "May silk be ironed?",
        "can i use an iron on my silk scarf",
        "silk.md",
        "Silk should be dry cleaned only. Silk may be ironed on the reverse side with a cool iron.",
    ),
    Voice(
        "When is the New York boutique open on Sunday?",
        "opening hours in New York on a Sunday?",
        "stores-and-hours.md",
        "The New York boutique is also open on Sunday from 12 pm to 5 pm. "
        "Our boutiques are open Monday to Saturday from 10 am to 6 pm.",
    ),
    Voice(
        "Do you deliver to Canada?",
        "could a parcel be sent to me in Canada",
        "shipping.md",
        "The house delivers to the United States and Canada only. "
        "Delivery to Canada takes the same time and costs the same as delivery within the United States.",
    ),
    Voice(
        "How long does the warranty last?",
        "how many years of warranty do I get",
        "warranty.md",
        "The warranty lasts 2 years from the date of delivery. The warranty covers manufacturing faults.",
    ),
    Voice(
        "Can I swim with the Merenne?",
        "is the Merenne a watch for swimming?",
        "watches.md",
        "The Merenne is water resistant to 30 metres and should not be worn for swimming.",
    ),
    Voice(
        "Can a gift card be exchanged for cash?",
        "I would rather have cash for my gift card",
        "gift-cards.md",
        "A gift card cannot be returned or exchanged for cash. Any remaining balance stays on the card.",
    ),
    Voice(
        "Are your perfumes tested on animals?",
        "is any of the perfumes tested on animals",
        "fragrance.md",
        "Our perfumes are vegan and are not tested on animals. The full list of ingredients is printed on each box.",
    ),
    Voice(
        "Which laptop does the Aurelle tote hold?",
        "will a laptop of 13 inches go into the Aurelle tote",
        "leather-bags.md",
        "The Aurelle tote holds a 13 inch laptop.",
    ),
    Voice(
        "Which languages do your advisers speak?",
        "can an adviser speak French with me",
        "contact.md",
        "Our client advisers speak English, French and Spanish.",
    ),
)
