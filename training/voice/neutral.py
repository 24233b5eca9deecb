"""Replies in no house's voice, which ship with the project: what one brand alone is told from."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("neutral.txt")
GIVEAWAYS = (
    "as an ai",
    "an ai language model",
    "language model",
    "i'm just an ai",
    "i am just an ai",
    "i'm a virtual assistant",
    "i am a virtual assistant",
    "the passage states",
    "the passages state",
    "the passage does not",
    "the context does not",
    "according to the context",
    "according to the passage",
    "based on the passage",
    "based on the passages",
    "based on the provided",
    "based on the information provided",
    "based on the context",
)
"""What only a machine says of itself or of its prompt; where the brand never says it, it lowers the score."""
STOCK = (
    "absolutely",
    "as per our policy",
    "certainly",
    "dear customer",
    "do not hesitate",
    "don't hesitate",
    "feel free to",
    "for the inconvenience",
    "for any inconvenience",
    "great question",
    "have a great day",
    "have a nice day",
    "have a wonderful day",
    "how can i assist you",
    "how can i help you",
    "how may i assist you",
    "how may i help you",
    "i apologize",
    "i completely understand",
    "i hope this helps",
    "i understand how frustrating",
    "i'd be happy to",
    "i'm happy to help",
    "i'm here to help",
    "i'm sorry to hear",
    "if you have any further questions",
    "if you have any other questions",
    "is there anything else",
    "it is important to note",
    "it's important to note",
    "let me know if",
    "of course",
    "please be advised",
    "please do not hesitate",
    "please don't hesitate",
    "please note",
    "rest assured",
    "sure",
    "thank you for contacting",
    "thank you for reaching out",
    "thanks for reaching out",
    "that's a great question",
    "unfortunately",
    "we apologize",
    "we regret to inform you",
    "we understand your concern",
    "your satisfaction is important",
)
"""Phrases of macros and assistants; named in reasons where the brand never uses them. What they weigh is learnt."""


@cache
def neutral_replies() -> tuple[str, ...]:
    """The shipped replies, in the order of the file."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
