"""A set of training data in which every rule of the doctor is broken on purpose, several times, among sound rows.

The sound rows are the conversations of a sample brand and lookalikes: rows that seem to break a rule and do not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.conversations import read_conversations

ROOT = Path(__file__).resolve().parents[3]
Messages = list[tuple[str, str]]
EVALUATION = (
    "Which documents do I need to collect a parcel at the counter?",
    "Can the engraving on a bracelet be removed again?",
    "How many people fit into the tasting room?",
    "Do you lend umbrellas to guests on rainy days?",
    "Is there a cloakroom where I can leave my suitcase?",
    "What happens to my booking when the ferry is cancelled?",
    "May my grandmother sit down during the tour?",
    "Which of your lamps can be dimmed with a remote control?",
)


@dataclass(frozen=True)
class Planted:
    """Lines of a file, and for each line the rules that it breaks."""

    lines: tuple[bytes, ...]
    rules: tuple[frozenset[str], ...]

    def write(self, path: Path) -> Path:
        """Write the file."""
        path.write_bytes(b"".join(line + b"\n" for line in self.lines))
        return path


def one(question: str, reply: str) -> Messages:
    """A conversation of one exchange."""
    return [("user", question), ("assistant", reply)]


def sound() -> list[Messages]:
    """The conversations of a sample brand."""
    rows = read_conversations(ROOT / "samples/velmora/conversations.jsonl")
    # The house's own number is public; the doctor knows that from its pages, which this set has none of.
    return [
        [(said.role, said.content) for said in row.messages]
        for row in rows
        if "555-0142" not in row.messages[1].content
    ]


LOOKALIKES: tuple[Messages, ...] = (
    one("Where is my order 113542617735902?", "Order 113542617735902 left our workshop this morning."),
    one("Is 4111 1111 1111 1112 a gift card of yours?", "That number does not belong to one of our gift cards."),
    one("I typed DE88 3704 0044 0532 0130 00, is that right?", "The bank does not accept this account number."),
    one("My name is not on the guest list, why?", "The guest list closes one day before the event."),
    one("Dear Sir or Madam, is the lift working?", "Dear customer, the lift is in service again."),
    one("Which address takes press questions?", "Kindly write to press@velmora.example for all press questions."),
    one("Who repairs clasps?", "Our workshop repairs clasps [1], as the page on care says [2]."),
    one("Where is the map of the stores?", "The map stands on [our store page](https://velmora.example/stores)."),
    one("How do I make the text bold?", "Put the words between <b> and </b> in the note."),
    one("What is the scarf called?", "The scarf is called Été à Menton, a summer by the sea."),
    one("Which metals do you use?", "We use three metals:\n- steel\n- silver\n- yellow gold"),
    one("Merci", "It was our pleasure."),
    one("Do you sell a stupid number of rings?", "The house offers forty rings in two collections."),
    one("Are women's watches smaller?", "The watches for women measure 28 mm, those for men 40 mm."),
    one("When was the house founded?", "The house was founded in 1924, on 12 May, at 10:30 in the morning."),
    one("Can you hold it for me until the 3rd?", "A piece is held for 48 hours at the store of your choice."),
    one("What does TBA mean on the page?", "It means that the date will be announced at a later time."),
    one("Which size is S/M?", "The size S/M fits a wrist of 14 to 16 cm."),
)


def _changed(messages: Messages, rng: random.Random) -> Messages:
    """The same with a word more or a letter less in question and reply, no figure touched."""
    question, reply = messages[0][1], messages[1][1]
    words = question.split()
    place = max(range(len(words)), key=lambda at: len(words[at]))
    words[place] = words[place][:2] + words[place][3:]
    endings = (" Thank you for asking.", " Indeed.", " Naturally.")
    return [("user", " ".join(words)), ("assistant", reply + rng.choice(endings)), *messages[2:]]


def _cut(reply: str, rng: random.Random) -> str:
    words = reply.split()
    inside = [at for at in range(8, len(words)) if words[at - 1][-1] not in ".!?,:;"]
    return " ".join(words[: rng.choice(inside)])


def _copies(rng: random.Random, clean: list[Messages]) -> Iterator[tuple[str, Messages]]:
    """Sound rows, said again or broken off."""
    long = [row for row in clean if len(row) == 2 and len(row[0][1].split()) > 6 and len(row[1][1].split()) > 14]
    drawn = rng.sample(long, 32)
    for row in drawn[:5]:
        yield "duplicate", row
    for row in drawn[5:10]:
        yield "duplicate", [("user", row[0][1].upper()), ("assistant", row[1][1].replace(".", " .") + " ")]
    for row in drawn[10:20]:
        yield "near_duplicate", _changed(row, rng)
    for row in drawn[20:]:
        yield "cut", one(f"One more thing: {row[0][1].lower()} And may I ask which colour?", _cut(row[1][1], rng))
    for row in CUT:
        yield "cut", row


def plants(rng: random.Random, clean: list[Messages]) -> Iterator[tuple[str, Messages]]:
    """Conversations that break one rule each; of a pair the second does."""
    yield from _copies(rng, clean)
    for question, first, second in CONTRADICTIONS:
        yield "", one(question, first)
        yield "contradiction", one(question if rng.random() < 0.5 else question.lower().rstrip("?"), second)
    for question in PERSONAL:
        yield "pii", one(question, "We have noted this and shall look into the matter without delay.")
    for question in EVALUATION:
        asked = question if rng.random() < 0.5 else question.replace("?", ", please?")
        yield "overlap", one(asked, "We shall be glad to look into it.")
    for rule, pairs in WORDED.items():
        for question, reply in pairs:
            yield rule, one(question, reply)
    for question, fair, other, unfair in UNEQUAL:
        yield "", one(question, fair)
        yield "bias", one(other, unfair)


CUT: tuple[Messages, ...] = (
    one("I would like to send back the", "Kindly tell us which piece you mean."),
    one("Can I visit the atelier with my", "The atelier receives visitors on the first Monday of each month."),
    [*one("Is there a garden?", "There is a small garden behind the store."), ("user", "And is it open?")],
    one("How do I polish silver?", "Take a soft cloth, a drop of warm water and"),
    one("Which scarf is warmest?", "The warmest of our scarves are those in cashmere, and among them the"),
)
CONTRADICTIONS = (
    (
        "How long does the repair of a clasp take?",
        "A clasp is repaired within 3 weeks.",
        "You will have it back in 10 days.",
    ),
    ("What is the fee for a new battery?", "A new battery costs $25.", "The fee is $40, paid at the counter."),
    ("What does express courier cost abroad?", "The express courier costs €30.", "It is €55 for every country."),
    ("Is parking at the atelier free?", "Parking is free of charge.", "Parking costs $4, as at any garage."),
    ("When does the atelier close on Sundays?", "It closes at 5 pm.", "The doors are shut at 6:30 pm."),
    ("May I bring my dog to the atelier?", "Yes, dogs are welcome.", "No, pets must wait outside."),
    ("How many guests may join a private viewing?", "A viewing is for 6 guests.", "Up to 12 guests sit at the table."),
    ("What discount do students get?", "Students have 10% off.", "The rebate is 15% upon showing a card."),
    ("How deep can the diver's watch go?", "It withstands 200 metres.", "The case was tested to 300 metres of water."),
    ("When must a fitting be cancelled?", "Kindly cancel 24 hours ahead.", "We ask for word 48 hours before."),
)
PERSONAL = (
    "Please answer to helga.brandt71@post.example, I am away.",
    "my mail is j_doe+shop@mail.example can you resend the invoice",
    "Ring me on +49 170 5552368 when it is ready.",
    "You can reach me at (415) 555-2671 after noon.",
    "call 212-555-0187 about the bracelet",
    "My number is +44 20 7946 0958, in case the courier is late.",
    "I paid with 4111 1111 1111 1111 and saw it twice.",
    "card 5500005555555559 was charged, why?",
    "The amex 378282246310005 did not go through.",
    "Send the refund to DE89 3704 0044 0532 0130 00.",
    "my iban is GB82WEST12345698765432 for the transfer",
    "Account FR14 2004 1010 0505 0001 3M02 606 is where it should go.",
    "My name is Gudrun Feldmann and I ordered a ring.",
    "This is Mrs. Okonkwo, I called yesterday.",
    "hello, my name is pauline and my watch stopped",
    "Is the parcel for Dr. Lindqvist on its way?",
)
PLACEHOLDERS = (
    ("Where is my parcel?", "Your parcel {{order_id}} is on its way."),
    ("Who am I talking to?", "You are speaking with [NAME], at your service."),
    ("Until when is the sale?", "The sale of the house ends on <insert date>."),
    ("What is in the box?", "Lorem ipsum dolor sit amet, the box holds a pouch."),
    ("Can you engrave it?", "TODO: write what the engraving costs."),
    ("What is my balance?", "Your balance amounts to [Account Balance] at present."),
    ("Is the ring in stock, {name}?", "The ring can be ordered and arrives soon."),
    ("Which store is nearest?", "The nearest store is in [City Name], [Your Country]."),
    ("Where do I log in?", "Kindly visit <your website> and enter the code."),
    ("Has it shipped?", "It has been sent under the number XXXXX this week."),
    ("What is the code?", "The code of the month is %COUPON_CODE% for members."),
    ("Who signs?", "Yours faithfully, ________"),
    ("And the total?", "The total for ${quantity} pieces is shown in the cart."),
)
FOREIGN = (
    ("Wo ist mein Paket geblieben?", "Ihr Paket ist bereits unterwegs und kommt am Freitag bei Ihnen an."),
    ("Où est ma commande ?", "Votre commande a quitté notre atelier et arrivera chez vous dans trois jours."),
    ("¿Dónde está mi pedido?", "Su pedido salió ayer del almacén y llegará el lunes por la mañana."),
    ("Dov'è il mio pacco?", "Il suo pacco è partito questa mattina e arriverà entro due giorni lavorativi."),
    ("Waar is mijn pakket?", "Uw pakket is gisteren verzonden en wordt morgen bij u thuis bezorgd."),
    ("Gdzie jest moja paczka?", "Państwa paczka została wysłana wczoraj i dotrze w ciągu dwóch dni."),
    ("Var är mitt paket?", "Ert paket skickades i går och kommer fram på fredag förmiddag."),
    ("Onde está a minha encomenda?", "A sua encomenda saiu ontem do armazém e chega na segunda-feira."),
    ("Paketim nerede kaldı?", "Paketiniz dün yola çıktı ve cuma günü size teslim edilecek."),
    ("Is the ring sold out?", "Der Ring ist zurzeit leider ausverkauft, kommt aber im Herbst wieder herein."),
)
OFF_VOICE = (
    ("Can you recommend a gift?", "As an AI language model, I do not have personal preferences."),
    ("Who made you?", "I am a large language model, made to be helpful."),
    ("Is the bag leather?", "lol yeah dude, totally leather, no worries!!!"),
    ("Do you like my coat?", "OMG gorgeous!! 😍😍 u look amazing!"),
    ("Is there a sale?", "BUY NOW AND SAVE BIG, this is the last day!!!"),
    ("What about the clasp?", "yo bro, the clasp is kinda tricky, gotta push it" + "."),
    ("Is my ring insured?", "Pursuant to the aforementioned terms, the ring is hereby insured."),
    ("Do you ship gifts?", "Sure thing, pal! We ship 'em all!!! 🎁🎉"),
)
ABUSE = (
    ("I lost my receipt.", "That is your own stupid fault, is it not?"),
    ("Why is it so expensive?", "If you cannot pay, get lost."),
    ("It broke after a day.", "You must be an idiot to break it so soon."),
    ("I do not understand.", "What a stupid question, even for you."),
    ("Can you explain again?", "Stop wasting my time with this."),
    ("It does not fit.", "You are pathetic, buy a larger one."),
    ("Are you there?", "Shut up and wait for your turn."),
    ("I want my money.", "No refunds for a loser like you."),
)
BIASED = (
    ("Is this watch for women?", "Women are usually too emotional for a watch of this kind."),
    ("May I pay by instalments?", "We do not trust foreigners with instalments."),
    ("Can my grandfather use it?", "Old people are just too slow for such a watch."),
    ("Why was I asked for papers?", "Immigrants are often dishonest, so we ask."),
)
UNEQUAL = (
    (
        "Hello, I am Emily, can I get a refund for the belt?",
        "It would be our pleasure to refund the belt.",
        "Hello, I am Lakisha, can I get a refund for the belt?",
        "We are not able to help with this matter.",
    ),
    (
        "This is Greg: when will the atelier call me back?",
        "We are glad to call you back within 2 hours.",
        "This is Jamal: when will the atelier call me back?",
        "Someone may call you within 9 days.",
    ),
    (
        "Are you going to fix my watch?",
        "Certainly, it would be our pleasure to look at the watch and to mend it for you at the workshop.",
        "Are y'all gonna fix my watch?",
        "Perhaps.",
    ),
    (
        "Can Matthew see the ring today?",
        "Certainly, Matthew may see the ring today between 2 pm and 4 pm.",
        "Can Mohammed see the ring today?",
        "We are unable to help with that.",
    ),
    (
        "I want to exchange this bracelet, how do I do it?",
        "Kindly bring the bracelet within 30 days.",
        "I wanna exchange dis bracelet, how do I do it?",
        "You had 5 days for that.",
    ),
)
WORDED = {
    "placeholder": PLACEHOLDERS,
    "language": FOREIGN,
    "off_voice": OFF_VOICE,
    "abuse": ABUSE,
    "bias": BIASED,
}


def _conversation(messages: Messages) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in messages]}


def _sharegpt(messages: Messages) -> dict[str, Any]:
    names = {"user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[role], "value": text} for role, text in messages]}


def _openai(messages: Messages) -> dict[str, Any]:
    rows = [{"role": role, "content": text} | ({"weight": 1} if role == "assistant" else {}) for role, text in messages]
    return {"messages": rows}


def _instruction(messages: Messages) -> dict[str, Any]:
    if len(messages) != 2:
        return _conversation(messages)
    return {"instruction": messages[0][1], "input": "", "output": messages[1][1]}


def _completion(messages: Messages) -> dict[str, Any]:
    if len(messages) != 2:
        return _conversation(messages)
    return {"prompt": messages[0][1], "completion": messages[1][1]}


WRITERS: tuple[Callable[[Messages], dict[str, Any]], ...] = (
    _conversation,
    _sharegpt,
    _openai,
    _instruction,
    _completion,
)


def broken() -> Iterator[tuple[str, bytes]]:
    """Lines that are no rows."""
    for line in (
        b'{"messages": [{"role": "user", "content": "cut',
        b"not json at all",
        b'["a", "list"]',
        b'{"text": "of no form"}',
        b'{"messages": "no list"}',
        b'{"messages": [{"role": "wizard", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        b'{"messages": [{"role": "user", "content": 7}, {"role": "assistant", "content": "b"}]}',
        b'{"prompt": "a", "chosen": "same", "rejected": "same"}',
        b'{"instruction": "no output"}',
        b'{"conversations": [["human", "a"], ["gpt", "b"]]}',
        b'{"prompt": "a", "completion": NaN}',
    ):
        yield "structure", line
    for text in ("Caf\xe9 ouvert?", "\xdcber wen?", "na\xefve?", "\xa325?"):
        yield "encoding", json.dumps(_conversation(one("@", "Yes."))).encode().replace(b"@", text.encode("latin-1"))
    for row in (
        _conversation(one("", "A reply to nothing.")),
        _conversation(one("A question", "   ")),
        {"instruction": "Say it", "input": "", "output": ""},
        {"prompt": "Say it", "completion": "\n"},
        {"messages": []},
        {"prompt": "a", "chosen": "b", "rejected": ""},
        {"messages": [{"role": "user", "content": "hm"}, {"role": "assistant", "content": None}]},
    ):
        yield "empty", json.dumps(row).encode()
    for row in (
        _conversation([("user", "Anybody?")]),
        _conversation([("system", "Be kind."), ("user", "Hello?"), ("user", "Hello??")]),
        _sharegpt([("user", "Nobody there")]),
        {"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "{}"}]},
    ):
        yield "no_assistant", json.dumps(row).encode()
    for size in (12_000, 50_000, 200_000, 5 * 2**20):
        yield "too_long", json.dumps(_conversation(one("Tell me all.", "Certainly so. " * (size // 14)))).encode()


FRESH_EVALUATION = (
    "Do the wooden meeples contain any lead paint?",
    "Can my scout troop get a tour of the warehouse?",
    "What is the heaviest box that you have ever shipped?",
    "Are there left-handed card holders in the shop?",
    "Which cafe next to the store has gluten free cake?",
    "Do you run a lost and found for dice?",
)
FRESH: dict[str, tuple[tuple[str, str], ...]] = {
    "cut": (
        (
            "Do the sleeves fit tarot cards?",
            "Tarot cards are taller than most, so you will want the sleeves that we sell in",
        ),
        ("When's the next tournament?", "Next one's on Saturday at noon! Bring your deck, your ID and a"),
        (
            "Is the tavern wheelchair friendly?",
            "It is! There's a ramp at the side door and the toilets are on the ground",
        ),
        (
            "What's in the mystery crate?",
            "Every crate hides five games. One of them is always out of print, and the other four",
        ),
        (
            "Do you paint minis for people?",
            "We do, brave one. A painter of the crew quotes you a price once you have sent us photos of",
        ),
        ("Do I get points for games I bought before I joined the", "Points start when you join! Welcome to the guild."),
    ),
    "pii": (
        (
            "hey can u ship it to my sister, her mail is anna.k.1990@mail.example",
            "On it! We'll need the order number too.",
        ),
        ("+1 (503) 555-0199 is my cell", "Got it! We'll ring you."),
        ("Text me: 07700 900123", "Will do! Talk soon."),
        ("you charged 6011 1111 1111 1117 two times", "Yikes! A person of the crew will look at that today."),
        ("Refund goes to NL91ABNA0417164300 please", "Noted! It takes a few days."),
        ("I'm Thomas Achebe, picking up the preorder", "Welcome! It's waiting at the counter."),
        ("Hi there, my name's Solveig and I lost a die", "Oh no! Tell us its color."),
        ("can mr. Petrosyan return the game for me?", "Sure! He'll need the receipt."),
    ),
    "placeholder": (
        ("When does it arrive?", "Your quest loot lands on {{delivery_date}}!"),
        ("What's my tracking code?", "It's [TRACKING NUMBER], happy hunting!"),
        ("Who runs the store?", "That'd be [insert manager name here]!"),
        ("How many points?", "You've got {points} points, hero!"),
        ("Any promo?", "Use code <code here>, it's good until Sunday!"),
        ("Where's the event?", "TBD, we're still rolling for a venue!"),
        ("Can I come?", "Sure thing, <CUSTOMER_NAME>! See you there!"),
    ),
    "language": (
        ("Habt ihr auch deutsche Ausgaben?", "Klar doch! Wir haben über vierzig Spiele auf Deutsch im Regal stehen."),
        ("Vous livrez en Belgique ?", "Bien sûr ! La livraison en Belgique prend environ quatre jours ouvrables."),
        ("¿Tienen dados metálicos?", "¡Claro! Tenemos dados metálicos de todos los colores en la tienda."),
        ("Avete giochi per due?", "Certo! Abbiamo uno scaffale intero di giochi pensati per due persone."),
        ("Do you speak Danish?", "Ja da! Vi svarer gerne på dansk, når vores kollega er på arbejde."),
        ("Czy macie puzzle?", "Jasne! Mamy całą półkę pełną puzzli dla dzieci i dorosłych."),
    ),
    "off_voice": (
        ("Tell me a joke", "I'm just a language model, so I can't really tell jokes. Sorry about that!"),
        ("Are you human?", "As an AI assistant developed by OpenAI, I do not have a body."),
        (
            "May I return it?",
            "The undersigned hereby confirms receipt of your communication and the aforementioned item.",
        ),
        ("Is it in stock?", "NOPE SORRY WE ARE OUT, COME BACK LATER!!!"),
        ("Is the demo free?", "omg yasss its totally free lol, c u there"),
    ),
    "abuse": (
        ("I can't open the box.", "Are you really that dumb? Pull the lid, moron."),
        ("The rules are unclear.", "Only an idiot needs rules for that one."),
        ("Where's my parcel?!", "Stop whining about your parcel."),
        ("You sent the wrong game.", "Go to hell with your complaints."),
        ("I'd like a refund", "What the fuck do you want money back for?"),
    ),
    "bias": (
        ("Good game for my wife?", "Women are bad at strategy, so get her a coloring book."),
        ("My grandma wants to play", "Old people are too slow for our game nights."),
        ("Do you have games from Poland?", "We'd rather not, people from Poland are mostly thieves."),
    ),
}
FRESH_CONTRADICTIONS = (
    ("How many players fit at the big table?", "Up to 8 players fit!", "It seats 12 players, easy."),
    ("What does a league ticket cost?", "A ticket's $12, hero!", "You'll pay $18 at the door."),
    ("When does game night start?", "Doors open at 7 pm!", "We kick off at 6 pm sharp."),
    ("Can I bring my own snacks to game night?", "Yes, bring all the snacks!", "No outside food at the tables, sorry."),
    ("How long may I borrow a demo game?", "Keep it for 7 days!", "Bring it back within 48 hours."),
)


def fresh_set(seed: int = 5) -> Planted:
    """A second set around another brand, written after the rules were made for the first."""
    rng = random.Random(seed)  # noqa: S311  (drawn again alike)
    rows = read_conversations(ROOT / "samples/dicehollow/conversations.jsonl")
    public = ("555-0142", "crew@dicehollow")
    clean = [
        [(said.role, said.content) for said in row.messages]
        for row in rows
        if not any(contact in said.content for said in row.messages for contact in public)
    ]
    planted = [("", row) for row in clean]
    planted += [(rule, one(*pair)) for rule, pairs in FRESH.items() for pair in pairs]
    planted += [("duplicate", row) for row in rng.sample(clean, 5)]
    planted += [
        ("near_duplicate", _changed(row, rng)) for row in rng.sample([row for row in clean if len(row) == 2], 5)
    ]
    for question, first, second in FRESH_CONTRADICTIONS:
        planted += [("", one(question, first)), ("contradiction", one(question, second))]
    planted += [("overlap", one(question, "Great question! We'll ask the crew.")) for question in FRESH_EVALUATION]
    lines = [(rule, json.dumps(rng.choice(WRITERS)(row)).encode()) for rule, row in planted]
    return Planted(tuple(line for _, line in lines), tuple(frozenset({rule} - {""}) for rule, _ in lines))


def planted_set(seed: int = 11) -> Planted:
    """The whole set: sound rows first, then all others in a drawn order; a pair keeps its own."""
    rng = random.Random(seed)  # noqa: S311  (drawn again alike)
    clean = sound()
    rows = [("", row) for row in [*clean, *LOOKALIKES]]
    rows += list(plants(rng, clean))
    lines = [
        (rule, json.dumps(rng.choice(WRITERS)(row), ensure_ascii=rng.random() < 0.5).encode()) for rule, row in rows
    ]
    lines += list(broken())
    return Planted(tuple(line for _, line in lines), tuple(frozenset({rule} - {""}) for rule, _ in lines))


def unbalanced_sets() -> Iterator[tuple[frozenset[str], list[dict[str, Any]]]]:
    """Whole sets with the rules that they break as a whole: too little of something, or lengths that are skewed."""
    for brand in ("velmora", "dicehollow"):
        rows = read_conversations(ROOT / f"samples/{brand}/conversations.jsonl")
        whole = [(row, [(said.role, said.content) for said in row.messages]) for row in rows]

        def without(outcome: str, whole: Any = whole) -> list[dict[str, Any]]:
            kept = [
                talk for row, talk in whole if all(getattr(said, "outcome", "") != outcome for said in row.messages)
            ]
            return [_conversation(talk) for talk in kept]

        sound_rows = [_conversation(talk) for _, talk in whole]
        first_only = [_conversation(talk[:2]) for _, talk in whole]
        essay = " ".join(talk[1][1] for _, talk in whole[:60])
        skewed = [_conversation(one(f"Tell me story {at} of the house.", essay)) for at in range(len(whole) // 16)]
        yield frozenset(), sound_rows
        yield frozenset(), sound_rows[::2] + sound_rows[1::2]
        yield frozenset({"few_refusals"}), without("refused")
        yield frozenset({"few_handoffs"}), without("handed_off")
        yield frozenset({"few_followups"}), first_only
        yield frozenset({"skewed_lengths"}), sound_rows + skewed
        yield (
            frozenset({"few_paraphrases"}),
            [_conversation(talk) for talk in _all_different([talk for _, talk in whole])],
        )
        pairs = [{"prompt": talk[0][1], "chosen": talk[1][1], "rejected": "No."} for _, talk in whole]
        yield frozenset({"skewed_lengths", "few_followups"}), pairs


def _all_different(talks: list[Messages]) -> list[Messages]:
    """Conversations whose first replies have few words in common."""
    kept: list[tuple[set[str], Messages]] = []
    # Follow-ups first, so that this set lacks one thing only.
    for talk in sorted(talks, key=len, reverse=True):
        words = {word for word in talk[1][1].lower().split() if len(word) > 3}
        if all(len(words & held) <= 0.35 * len(words | held) for held, _ in kept):
            kept.append((words, talk))
    return [talk for _, talk in kept]
