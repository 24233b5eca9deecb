"""A person is taken out of everything: a canary's bytes are looked for in every file, not where we believe they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.engine import make_url

from channels.base import InboundMessage
from configs.brand import Brand
from configs.home import Home
from service.bindings import unbound
from service.conversation import feedback, inbox
from service.conversation import store as conversations
from service.keeping.erasure import Receipt, erase
from service.keeping.forgetting import find, forget, written_as
from service.storage import tables as t
from service.storage.database import Database
from tests.unit.service.storage.support import BRAND, item, reply, rows

PERSON = "15550100123"
CANARY = "my canary Zwetschgenkuchen is still missing from the parcel"
OTHER = "15550100777"


def from_whatsapp(person: str, text: str, number: int = 0) -> InboundMessage:
    return InboundMessage("whatsapp", "P1", f"wamid.{person}.{number}", person, person, text, {"to": person})


def from_slack(user: str, text: str, number: int, thread: str = "C1:171.5") -> InboundMessage:
    return InboundMessage("slack", "T1", f"C1:{number}", thread, user, text, {"channel": "C1", "thread_ts": "171.5"})


async def said(db: Database, message: InboundMessage, answer: str = "On its way [1].") -> str:
    """A message with everything that can come of it; returns the turn."""
    accepted = await inbox.accept(db, BRAND, message)
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn
    evidence = {"question": message.text, "history": [past.question for past in turn.past]}
    await conversations.finish(
        db, turn.id, reply(answer, evidence=evidence), outbox=item(answer), handoff="asked", waits=False
    )
    await feedback.set_feedback(db, turn.id, "down", conversation_id=accepted.conversation_id)
    return turn.id


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def brands(**values: Any) -> Mapping[str, Brand]:
    return {
        BRAND: Brand.model_construct(
            name=BRAND, **({"conversations": None, "intents": None, "questions": None} | values)
        )
    }


async def run(url: str, home: Home, contact: str = PERSON, digest: str | None = None, **values: Any) -> Receipt:
    dataset = {name: values.pop(name) for name in ("conversations", "intents", "questions") if name in values}
    return await erase(brands(**dataset), home, make_url(url), contact, digest=lambda *_: digest, **values)


def holding(root: Path, *words: str) -> list[str]:
    """Files below a folder in which one of these words stands, as it is or as JSON writes it."""
    forms = {form.encode() for word in words for form in (word, json.dumps(word)[1:-1])}
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    )


async def test_nothing_of_a_person_is_left_and_nothing_of_others_goes(db: Database, url: str, home: Home) -> None:
    turn = await said(db, from_whatsapp(PERSON, CANARY), f"Sorry about '{CANARY}'")
    await inbox.accept(db, BRAND, from_whatsapp(PERSON, "and another thing, which nobody has read yet", 1))
    await unbound.keep(db, channel="whatsapp", app="m", account="P9", reason="r", payload=b'{"from": "15550100123"}')
    await unbound.keep(db, channel="whatsapp", app="m", account="P9", reason="r", payload=b'{"from": "155501001234"}')
    kept = await said(db, from_whatsapp(OTHER, "Where is my parcel, please? It was to come today."))
    (home.root / "runs").mkdir()
    (home.root / "runs/gateway.log").write_text(f'{{"turn": "{turn}", "to": "{PERSON}"}}\n{{"to": "155501001234"}}\n')
    (home.root / "runs/rows.jsonl").write_text(
        json.dumps({"id": "a", "messages": [CANARY]}) + "\n" + json.dumps({"id": "b", "messages": ["Hello"]}) + "\n"
    )
    dry = await run(url, home, dry_run=True)
    assert len(await rows(db, t.turns)) == 2
    assert "runs/rows.jsonl" in holding(home.root, CANARY)
    await db.close()
    receipt = await run(url, home)
    went = {"conversations": 1, "turns": 1, "inbox": 2, "outbox": 1, "feedback": 1, "handoffs": 1, "unbound_events": 1}
    assert dry.rows == went
    assert receipt.rows == went | {"tombstones": 2}
    assert dry.file_rows == receipt.file_rows == {"runs/rows.jsonl": 1}
    assert receipt.file_places == {"runs/gateway.log": 2}
    assert receipt.scrubbed
    assert holding(home.root, CANARY, turn, PERSON + '"') == []
    assert "155501001234" in (home.root / "runs/gateway.log").read_text()
    assert (home.root / "runs/rows.jsonl").read_text() == '{"id": "b", "messages": ["Hello"]}\n'
    again = await Database.open(url)
    assert [row.id for row in await rows(again, t.turns)] == [kept]
    assert len(await rows(again, t.unbound_events)) == 1
    await again.close()
    # A second run finds nothing; the receipts say nothing of whom.
    assert (await run(url, home)).rows == {}
    assert len(list((home.root / "receipts").iterdir())) == 2
    assert holding(home.root / "receipts", PERSON, CANARY, turn) == []


async def test_an_old_event_that_comes_again_does_not_bring_the_person_back(db: Database, url: str, home: Home) -> None:
    await said(db, from_whatsapp(PERSON, CANARY))
    await forget(db, await find(db, PERSON))
    repeat = await inbox.accept(db, BRAND, from_whatsapp(PERSON, CANARY))
    assert repeat == inbox.Accepted(inbox.NOWHERE, duplicate=True, here=False)
    assert await rows(db, t.conversations) == []
    assert await rows(db, t.inbox) == []
    assert await inbox.next_turn(db, repeat.conversation_id) is None
    # Who writes anew is answered as anybody is.
    assert not (await inbox.accept(db, BRAND, from_whatsapp(PERSON, "Hello", 7))).duplicate


async def test_an_event_older_than_any_platform_repeats_needs_no_tombstone(db: Database) -> None:
    await said(db, from_whatsapp(PERSON, CANARY))
    long_ago = update(t.inbox).values(received_at=datetime.now(UTC) - timedelta(days=15))
    await db.write(lambda connection: connection.execute(long_ago))
    await forget(db, await find(db, PERSON))
    assert await rows(db, t.tombstones) == []


async def test_one_of_several_in_a_thread_goes_and_the_others_stay(db: Database, url: str, home: Home) -> None:
    first = await said(db, from_slack("U0AAAAAA", "A question of somebody else's, asked before", 1))
    await said(db, from_slack("U0PERSON", CANARY, 2))
    later = await said(db, from_slack("U0AAAAAA", "And one that was asked after the canary", 3))
    await inbox.accept(db, BRAND, from_slack("U0PERSON", "unread", 4))
    await db.close()
    receipt = await run(url, home, "U0PERSON")
    assert receipt.shared_conversations == 1
    assert receipt.rows == {"turns": 1, "inbox": 2, "outbox": 1, "feedback": 1, "handoffs": 1, "tombstones": 2}
    assert holding(home.root, CANARY, "U0PERSON") == []
    again = await Database.open(url)
    left = await rows(again, t.turns)
    assert {row.id for row in left} == {first, later}
    assert [row.evidence for row in left] == [None, None]
    assert {row.sender for row in await rows(again, t.inbox)} == {"U0AAAAAA"}
    await again.close()


@pytest.mark.parametrize(
    ("key", "contact", "found"),
    [
        pytest.param("15550100123", "+1 (555) 010-0123", True, id="as people write numbers"),
        pytest.param("whatsapp:+15550100123", "15550100123", True, id="twilio"),
        pytest.param("900:15550100", "15550100", True, id="discord"),
        pytest.param("15550100:42", "15550100", True, id="telegram topic"),
        pytest.param("155501001234", "15550100123", False, id="longer"),
        pytest.param("1_550100123", "15550100123", False, id="no pattern"),
        pytest.param("%", "x", False, id="nobody"),
    ],
)
async def test_who_is_found(db: Database, key: str, contact: str, found: bool) -> None:
    await inbox.accept(db, BRAND, InboundMessage("any", "A", "m1", key, "", "Hello", {}))
    assert (await find(db, contact)).known == found
    assert not (await find(db, contact, "other")).known
    assert (await find(db, contact, "any")).known == found


async def test_a_visitor_of_the_widget_is_found_by_conversation_or_id_or_who_they_are(db: Database) -> None:
    visitor = await conversations.open_visitor_conversation(db, BRAND, None, None, "user-00007")
    for known in (visitor.id, visitor.visitor, "user-00007"):
        assert (await find(db, known)).whole == [visitor.id]


async def test_a_reply_is_found_by_whom_it_is_addressed_to(db: Database) -> None:
    """Messages from before senders were kept."""
    accepted = await inbox.accept(db, BRAND, InboundMessage("x", "A", "m", "dm-7", "", "Hi", {"person": "person-0001"}))
    await db.write(lambda connection: connection.execute(update(t.inbox).values(sender=None)))
    assert (await find(db, "person-0001")).whole == [accepted.conversation_id]
    assert not (await find(db, "person-000")).known


def test_how_a_number_may_be_written() -> None:
    assert written_as(" +1 555-010-0123 ") == [
        "+1 555-010-0123", "15550100123", "+15550100123", "whatsapp:+15550100123",
    ]  # fmt: skip
    assert written_as("U0PERSON") == ["U0PERSON"]


async def test_training_rows_go_by_provenance_and_the_adapters_that_saw_them_are_named(
    db: Database, url: str, home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    turn = await said(db, from_whatsapp(PERSON, CANARY))
    await db.close()
    data = tmp_path_factory.mktemp("brand") / "conversations.jsonl"
    mine, alike, other = ({"id": one, "content": text} for one, text in ((turn, "x"), ("k", CANARY), ("o", "Hello")))
    data.write_text("".join(json.dumps(one) + "\n" for one in (other, mine, alike)))
    (home.root / "runs/r1").mkdir(parents=True)
    (home.root / "runs/r1/examples.jsonl").write_text(
        json.dumps({"data_sha256": "c" * 64}) + "\n" + json.dumps({"prompt": CANARY}) + "\n"
    )
    for version, digest in (("v1", "a" * 64), ("v2", "b" * 64), ("v3", "c" * 64)):
        adapter(home, version, digest)
    (home.adapters / BRAND / "active").write_text("v2\n")
    dry = await run(url, home, conversations=data, digest="b" * 64, dry_run=True)
    receipt = await run(url, home, conversations=data, digest="b" * 64)
    for one in (dry, receipt):
        assert [(each.version, each.active, each.held) for each in one.adapters] == [
            ("v1", False, "cannot be told"), ("v2", True, "yes"), ("v3", False, "yes"),
        ]  # fmt: skip
        assert [(each.rows, each.alike) for each in one.datasets] == [(1, [3])]
    assert [json.loads(line)["id"] for line in data.read_text().splitlines()] == ["o", "k"]
    assert any("train a new version" in one for one in receipt.to_do)
    assert any("look at the lines 3" in one for one in receipt.to_do)
    assert len((home.root / "runs/r1/examples.jsonl").read_text().splitlines()) == 1
    untouched = await run(url, home, "nobody-at-all", conversations=data)
    assert untouched.adapters == []


async def test_a_contact_that_is_a_plain_word_takes_no_row_along(
    db: Database, url: str, home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await said(db, InboundMessage("x", "A", "message", "nobody", "nobody", "Hello", {}))
    await db.close()
    data = tmp_path_factory.mktemp("brand") / "conversations.jsonl"
    for path in (data, home.root / "runs/a.jsonl", home.root / "voices/b.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"content": "nobody sent this message"}\n')
    receipt = await run(url, home, "nobody", conversations=data)
    assert receipt.rows["turns"] == 1
    assert (receipt.datasets, receipt.file_rows, receipt.file_places, receipt.adapters) == ([], {}, {}, [])
    assert data.read_text() == '{"content": "nobody sent this message"}\n'


def adapter(home: Home, version: str, digest: str) -> None:
    sample = Path(__file__).resolve().parents[4] / "samples/velmora/adapter"
    folder = home.adapters / BRAND / version
    folder.mkdir(parents=True)
    for path in sample.iterdir():
        (folder / path.name).write_bytes(path.read_bytes() if path.suffix == ".json" else b"")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"data_sha256": digest, "version": version}))


async def test_a_turn_that_runs_is_forgotten_and_its_reply_goes_nowhere(db: Database) -> None:
    accepted = await inbox.accept(db, BRAND, from_whatsapp(PERSON, CANARY))
    turn = await inbox.next_turn(db, accepted.conversation_id)
    assert turn
    await forget(db, await find(db, PERSON))
    await conversations.finish(db, turn.id, reply(CANARY), outbox=item(), handoff="asked")
    for table in t.metadata.sorted_tables:
        assert table is t.tombstones or await rows(db, table) == []


@pytest.mark.usefixtures("sqlite_only")
async def test_a_running_gateway_goes_on_and_the_bytes_are_gone_all_the_same(
    db: Database, url: str, home: Home
) -> None:
    await said(db, from_whatsapp(PERSON, CANARY))
    receipt = await run(url, home)
    assert receipt.scrubbed
    assert holding(home.root, CANARY, PERSON) == []
    await said(db, from_whatsapp(OTHER, "And the gateway goes on"))


@pytest.mark.usefixtures("sqlite_only")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_a_person_did_no_byte_of_it_stays(data: st.DataObject, tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        home = Home(Path(folder))
        url = f"sqlite:///{home.database}"
        db = await Database.open(url)
        canaries = []
        for number in range(data.draw(st.integers(1, 12))):
            mine = data.draw(st.booleans())
            odd = data.draw(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12))
            words = f"{odd}Canary-{number}-canary, and some words behind it{odd}" if mine else f"others-{number}"
            place = data.draw(st.sampled_from(["alone", "thread", "unread", "file", "big"]))
            who = "U0PERSON" if mine else "U0OTHERS"
            text = words * (300 if place == "big" else 1)
            if place == "file":
                path = home.root / data.draw(st.sampled_from(["runs/a.jsonl", "runs/b.log", "evaluations/c.json"]))
                path.parent.mkdir(exist_ok=True)
                with path.open("a") as file:
                    file.write(json.dumps({"text": text, "who": who}, ensure_ascii=data.draw(st.booleans())) + "\n")
            thread = "shared" if place == "thread" else f"of-{who}"
            note = from_slack(who, text, number, thread)
            if place == "unread":
                await inbox.accept(db, BRAND, note)
            else:
                await said(db, note, text if mine and place == "alone" else "fine")
            canaries += [f"Canary-{number}-canary"] if mine else []
        if data.draw(st.booleans()):
            await db.close()
        # What a turn took up together with another's message goes too: it is one question.
        receipt = await run(url, home, "U0PERSON")
        assert receipt.scrubbed
        assert holding(home.root, "U0PERSON", *canaries) == []
        await db.close()
