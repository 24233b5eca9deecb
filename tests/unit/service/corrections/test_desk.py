"""Corrections from a proposal to what follows; the files that come out are read by training's own readers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from channels.base import InboundMessage
from configs.training import Preferences
from retrieval.search.knowledge_base import KnowledgeBase
from retrieval.testing import HashEncoder
from service.conversation import store as conversations
from service.corrections.terms import Change, Correction, Proposal, Who
from service.errors import ConversationUnknown, CorrectionUnknown, NotPossible, RequestInvalid
from service.keeping.forgetting import find, forget
from service.storage import tables as t
from service.storage.database import Database
from tests.unit.service.corrections.support import BETTER, BRAND, QUESTION, Office, answered, office, voice
from tests.unit.service.storage.support import rows
from training.conversations import read_conversations, read_questions
from training.data.preferences import Shop, read_pairs


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    db = await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")
    yield office(db, tmp_path)
    await db.close()


async def accepted(at: Office, proposal: Proposal, by: str = "Ben") -> Correction:
    one = await at.desk.propose(proposal, at.audit)
    return await at.desk.review(one.id, by=Who(by), accepts=True, audit=at.audit)


async def edit(at: Office, turn: str, old: str = "30 days", new: str = "45 days", **more: Any) -> Proposal:
    page = await at.desk.page(BRAND, "returns.md")
    return Proposal(
        turn,
        "fact",
        Who("Anna"),
        document="returns.md",
        document_sha256=page.sha256,
        # As a browser sends it.
        document_text=page.text.replace(old, new).replace("\n", "\r\n"),
        **more,
    )


def shop(at: Office) -> Shop:
    return Shop(BRAND, "Maison Velmora", KnowledgeBase.open(at.home.knowledge, BRAND, HashEncoder()))


async def test_an_accepted_reply_becomes_a_conversation_and_a_pair_that_training_reads(at: Office) -> None:
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day."}]
    turn = await answered(at.db, history=history)
    one = await accepted(at, voice(turn))
    assert (one.state, one.proposed_by, one.reviews[0].by) == ("accepted", "Anna", "Ben")
    assert (one.adapter_version, one.turn_id) == ("v3", turn)
    (conversation,) = read_conversations(at.home.corrections(BRAND).conversations)
    assert [said.content for said in conversation.messages] == ["Hello", "Good day.", QUESTION, BETTER]
    assert [getattr(said, "learnt", None) for said in conversation.messages] == [None, False, None, True]
    reply: Any = conversation.messages[-1]
    assert (reply.outcome, reply.documents) == ("answered", ("returns.md",))
    assert turn in conversation.id
    (pair,) = read_pairs(at.home.corrections(BRAND).pairs, Preferences(), shop(at))
    assert (pair.chosen, pair.rejected) == (BETTER, "You have 30 days. We remain at your disposal.")
    # As it was served, with the passages of then.
    assert [one.role for one in pair.messages] == ["system", "user", "assistant", "user"]
    assert "[1] Returns: 30 days." in pair.messages[-1].content
    assert not at.home.corrections(BRAND).questions.exists()
    assert at.noted == ["correction.proposed", "correction.accepted"]


async def test_what_the_base_model_said_with_the_voice_guide_is_put_as_an_adapter_would_be_asked(at: Office) -> None:
    await accepted(at, voice(await answered(at.db, version="base")))
    row = json.loads(at.home.corrections(BRAND).pairs.read_text())
    assert row["prompt"] == [{"role": "user", "content": QUESTION}]
    (pair,) = read_pairs(at.home.corrections(BRAND).pairs, Preferences(), shop(at))
    assert pair.messages[0].role == "system"


async def test_a_wrong_fact_becomes_a_new_version_of_the_page_and_a_held_out_question(at: Office) -> None:
    turn = await answered(at.db)
    proposal = await edit(at, turn, holds=("45 days", " "), corrected="You have 45 days.")
    shown = await at.desk.difference(BRAND, "returns.md", proposal.document_text or "")
    changed = [(line.sign, line.text) for line in shown if line.sign in "+-"]
    assert [sign for sign, _ in changed] == ["-", "+"]
    assert "30 days" in changed[0][1]
    assert "45 days" in changed[1][1]
    assert len(shown) == 8, "two lines on either side, and a sign for the rest"
    before = KnowledgeBase.open(at.home.knowledge, BRAND, HashEncoder())
    one = await at.desk.propose(proposal)
    assert before.refresh() is False, "nothing changes before it is accepted"
    one = await at.desk.review(one.id, by=Who("Ben"), accepts=True)
    assert before.refresh()
    assert one.knowledge_version == before.version
    assert "within 45 days" in before.search("return an unopened item", top_k=1).passages[0].text
    (question,) = read_questions(at.home.corrections(BRAND).questions)
    assert (question.question, question.document, question.answer_contains) == (QUESTION, "returns.md", ("45 days",))
    assert question.reference == "You have 45 days."
    assert not at.home.corrections(BRAND).conversations.exists(), "facts live outside the weights"


async def test_an_edit_of_a_page_that_was_changed_meanwhile_is_refused_and_its_correction_waits(at: Office) -> None:
    first = await at.desk.propose(await edit(at, await answered(at.db)))
    second = await at.desk.propose(await edit(at, await answered(at.db, key="2"), "only if", "unless"))
    await at.desk.review(first.id, by=Who("Ben"), accepts=True)
    with pytest.raises(NotPossible, match="changed meanwhile"):
        await at.desk.review(second.id, by=Who("Ben"), accepts=True)
    assert (await at.desk.read(second.id)).state == "proposed"
    # With the words made anew of the page as it is now, it goes through.
    page = await at.desk.page(BRAND, "returns.md")
    text = page.text.replace("only if", "unless")
    await at.desk.change(second.id, Change(document_sha256=page.sha256, document_text=text))
    await at.desk.review(second.id, by=Who("Ben"), accepts=True)
    now = await at.desk.page(BRAND, "returns.md")
    assert "45 days" in now.text
    assert "unless it is faulty" in now.text


async def test_a_missed_hand_over_becomes_a_keyword_at_once_and_goes_when_it_is_taken_back(at: Office) -> None:
    turn = await answered(at.db, "My watch strap burnt my wrist!", "The strap is of calf leather.")
    with pytest.raises(RequestInvalid, match="does not stand"):
        await at.desk.propose(Proposal(turn, "handover", Who("Anna"), keyword="lawyer"))
    one = await accepted(at, Proposal(turn, "handover", Who("Anna"), keyword="burnt my wrist"))
    assert at.brands[BRAND].handover.keywords == ("burnt my wrist",)
    assert not at.home.corrections(BRAND).conversations.exists(), "a rule alone teaches no words"
    await at.desk.withdraw(one.id)
    assert at.brands[BRAND].handover.keywords == ()


async def test_a_missed_refusal_is_learnt_as_one(at: Office) -> None:
    turn = await answered(at.db, "Do you lend bags?", "Yes, we lend bags for 30 days.")
    await accepted(at, Proposal(turn, "refusal", Who("Anna"), corrected="We regret that our pages are silent on this."))
    (conversation,) = read_conversations(at.home.corrections(BRAND).conversations)
    reply: Any = conversation.messages[-1]
    assert (reply.outcome, reply.documents) == ("refused", ())


async def test_personal_data_is_hidden_before_anything_is_kept(at: Office) -> None:
    question = "My name is Anna Berger, write to anna.berger@example.org: how long may I keep a bag?"
    told = [{"role": "user", "content": "Call me on +49 170 1234567"}, {"role": "assistant", "content": "Gladly."}]
    turn = await answered(at.db, question, "Anna Berger, you have 30 days.", history=told)
    one = await accepted(at, voice(turn, corrected="We write to anna.berger@example.org within 30 days.", by="Cleo"))
    assert one.masked >= 5
    kept = json.dumps([dict(row._mapping) for row in await rows(at.db, t.corrections)], default=str)
    kept += "".join(path.read_text() for path in at.home.corrections(BRAND).folder.glob("*.jsonl"))
    for piece in ("Anna Berger", "anna.berger", "1234567"):
        assert piece not in kept, piece
    assert "[masked e-mail]" in kept
    read_conversations(at.home.corrections(BRAND).conversations)


async def test_a_second_person_must_look_where_the_brand_says_so(at: Office) -> None:
    at.rule("another")
    one = await at.desk.propose(voice(await answered(at.db)))
    assert await at.desk.queue(BRAND, Who("Anna")) == []
    with pytest.raises(NotPossible, match="another person"):
        await at.desk.review(one.id, by=Who("Anna"), accepts=True)
    assert [found.id for found in await at.desk.queue(BRAND, Who("Ben"))] == [one.id]
    assert (await at.desk.review(one.id, by=Who("Ben"), accepts=True)).state == "accepted"


async def test_two_reviewers_must_agree_and_a_third_decides(at: Office) -> None:
    at.rule("two")
    one = await at.desk.propose(voice(await answered(at.db)))
    assert (await at.desk.review(one.id, by=Who("Ben"), accepts=True)).state == "proposed"
    with pytest.raises(NotPossible, match="already"):
        await at.desk.review(one.id, by=Who("Ben"), accepts=True)
    (seen,) = await at.desk.queue(BRAND, Who("Cleo"))
    assert seen.reviews == (), "what the first one said is not shown to the second"
    assert (await at.desk.review(one.id, by=Who("Cleo"), accepts=False, note="too long")).state == "proposed"
    assert (await at.desk.review(one.id, by=Who("Dora"), accepts=True)).state == "accepted"
    other = await at.desk.propose(voice(await answered(at.db, key="2")))
    for by in ("Ben", "Cleo"):
        last = await at.desk.review(other.id, by=Who(by), accepts=False)
    assert last.state == "rejected"
    found = await at.desk.agreement(BRAND)
    assert (found.both, found.same, found.share) == (2, 1, 0.5)
    assert found.kappa == pytest.approx(0.0)
    assert len(read_conversations(at.home.corrections(BRAND).conversations)) == 1


async def test_new_words_are_reviewed_anew_and_masked(at: Office) -> None:
    at.rule("two")
    one = await at.desk.propose(voice(await answered(at.db)))
    await at.desk.review(one.id, by=Who("Ben"), accepts=True)
    words = "We take it back with pleasure; write to cleo.maier@example.org."
    changed = await at.desk.change(one.id, Change(corrected=words))
    assert (changed.revision, changed.masked, changed.current_reviews) == (2, 1, ())
    assert "[masked e-mail]" in (changed.corrected or "")
    await at.desk.review(one.id, by=Who("Cleo"), accepts=True)
    assert (await at.desk.review(one.id, by=Who("Ben"), accepts=True)).state == "accepted"
    with pytest.raises(NotPossible):
        await at.desk.change(one.id, Change(corrected="Later"))
    # A change of nothing is none.
    two = await at.desk.propose(voice(await answered(at.db, key="2")))
    assert (await at.desk.change(two.id, Change(corrected=two.corrected))).revision == 1


async def test_what_cannot_be_meant_is_refused_with_its_reason(at: Office) -> None:
    turn = await answered(at.db)
    for proposal, reason in (
        (voice(turn, corrected=" "), "is missing"),
        (voice(turn, corrected="You have 30 days. We remain at your disposal."), "is what was said"),
        (voice(turn, documents=("none.md",)), "no page none.md"),
        (voice(turn, by=" "), "who proposes"),
        (voice(turn, corrected="x" * 4001), "more than 4000"),
        (Proposal(turn, "fact", Who("Anna")), "needs the page"),
        (await edit(at, turn, "30 days", "30 days"), "just this already"),
        (dataclasses.replace(await edit(at, turn), document="none.md"), "holds no"),
    ):
        with pytest.raises(RequestInvalid, match=reason):
            await at.desk.propose(proposal)
    with pytest.raises(ConversationUnknown):
        await at.desk.propose(voice("none"))
    with pytest.raises(CorrectionUnknown):
        await at.desk.review("none", by=Who("Ben"), accepts=True)
    await at.desk.propose(voice(turn))
    with pytest.raises(NotPossible, match="Anna has corrected"):
        await at.desk.propose(voice(turn))
    # A fact is another matter, and both may stand.
    await at.desk.propose(await edit(at, turn))
    assert (await at.desk.counts(BRAND)) == {"proposed": {"voice": 1, "fact": 1}}


async def test_a_rejected_one_teaches_nothing_and_frees_its_turn(at: Office) -> None:
    turn = await answered(at.db)
    one = await at.desk.propose(voice(turn))
    assert (await at.desk.review(one.id, by=Who("Ben"), accepts=False, note="fine as it was")).state == "rejected"
    await accepted(at, voice(turn, corrected="Within 30 days, with pleasure."))
    (conversation,) = read_conversations(at.home.corrections(BRAND).conversations)
    assert conversation.messages[-1].content == "Within 30 days, with pleasure."


async def test_forgetting_a_person_takes_their_corrections_and_the_rows_made_of_them(at: Office) -> None:
    await accepted(at, voice(await answered(at.db, "Is my canary bag Zwetschgenkuchen still there?", key="theirs")))
    await accepted(at, voice(await answered(at.db, key="others")))
    person = await find(at.db, "theirs")
    assert person.known
    counts = await forget(at.db, person)
    assert counts["corrections"] == counts["correction_reviews"] == 1
    await at.desk.refresh()
    (conversation,) = read_conversations(at.home.corrections(BRAND).conversations)
    assert "Zwetschgenkuchen" not in str(conversation)
    assert "Zwetschgenkuchen" not in at.home.corrections(BRAND).pairs.read_text()


async def test_forgetting_one_of_several_people_takes_their_words_out_of_the_others_corrections(at: Office) -> None:
    def wrote(sender: str, text: str, number: int) -> InboundMessage:
        return InboundMessage("slack", "T1", f"C1:{number}", "C1:171.5", sender, text, {"channel": "C1"})

    canary = "Is my canary bag still with you?"
    told = [{"role": "user", "content": canary}, {"role": "assistant", "content": "It is."}]
    await answered(at.db, canary, said_by=wrote("U0000AAA1", canary, 1))
    turn = await answered(at.db, history=told, said_by=wrote("U0000BBB2", QUESTION, 2))
    await accepted(at, voice(turn))
    files = at.home.corrections(BRAND)
    assert "canary" in files.conversations.read_text()
    person = await find(at.db, "U0000AAA1")
    assert person.shared
    await forget(at.db, person)
    await at.desk.refresh()
    assert len(read_conversations(files.conversations)) == 1, "the other one's stays"
    assert "canary" not in files.conversations.read_text() + files.pairs.read_text()


async def test_a_keyword_holds_after_a_restart(at: Office) -> None:
    turn = await answered(at.db, "My watch strap burnt my wrist!", "The strap is of calf leather.")
    await accepted(at, Proposal(turn, "handover", Who("Anna"), keyword="burnt"))
    new = dict(at.brands)
    new[BRAND] = new[BRAND].model_copy(
        update={"handover": new[BRAND].handover.model_copy(update={"keywords": ("lawyer",)})}
    )
    from service.corrections.desk import Corrections

    await Corrections(at.db, at.home, new, HashEncoder()).refresh()
    assert new[BRAND].handover.keywords == ("lawyer", "burnt")


async def test_a_persons_message_and_a_failed_turn_cannot_be_corrected(at: Office) -> None:
    from service.conversation import inbox
    from tests.unit.service.storage.support import message

    accepted_ = await inbox.accept(at.db, BRAND, message("m9", key="failing"))
    turn = await inbox.next_turn(at.db, accepted_.conversation_id)
    assert turn is not None
    await conversations.fail(at.db, turn.id, "timeout", "Sorry.")
    with pytest.raises(NotPossible):
        await at.desk.draft(turn.id)
