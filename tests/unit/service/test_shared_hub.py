"""A socket sees each character of a turn once, wherever both are and whenever it came."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from service.conversation.events import Sentence
from service.storage.line import EVERYONE
from service.turns import shared_hub
from service.turns.hub import Hub, LiveTurn, Subscription
from service.turns.shared_hub import SharedHub
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import until

C = "conversation"


class Net:
    """Gateways that hear each other late, each the words of another in their order."""

    def __init__(self, *names: str, seed: int = 0) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.holder: str | None = None
        self.hubs = {name: self._hub(name) for name in names}
        self._lines: dict[tuple[str, str], asyncio.Queue[str]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.said: list[tuple[str, str, Mapping[str, Any]]] = []
        self.dead: set[str] = set()
        self._under_way = 0

    def _hub(self, name: str) -> SharedHub:
        async def holder(_: str) -> str | None:
            self._under_way += 1
            await asyncio.sleep(self.chance.uniform(0, 0.003))
            self._under_way -= 1
            return self.holder

        return SharedHub(lambda: name, lambda to, message: self._post(name, to, message), holder)

    def _post(self, sender: str, to: str, message: Mapping[str, Any]) -> None:
        self.said.append((sender, to, message))
        for name in [one for one in self.hubs if one != sender] if to == EVERYONE else [to]:
            if (sender, name) not in self._lines:
                self._lines[sender, name] = asyncio.Queue()
                self._tasks.append(asyncio.create_task(self._carry(sender, name)))
            self._lines[sender, name].put_nowait(json.dumps(message))
            self._under_way += 1

    async def _carry(self, sender: str, to: str) -> None:
        while True:
            message = await self._lines[sender, to].get()
            await asyncio.sleep(self.chance.uniform(0, 0.003))
            if to not in self.dead:
                self.hubs[to].hear(sender, json.loads(message))
            self._under_way -= 1

    async def settled(self) -> None:
        """Wait until all has been heard, and what was said to it, and so on."""
        for _ in range(3):
            await asyncio.sleep(0.01)
            await until(lambda: not self._under_way)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Reader:
    """Reads a conversation as a socket does: subscribes, reads the store, asks, and then follows."""

    def __init__(self, hub: Hub, store: dict[str, str]) -> None:
        self.text, self.sentences, self.whole, self.cut = "", {}, "", False  # type: ignore[var-annotated]
        self._hub, self._store = hub, store

    async def read(self) -> None:
        with self._hub.subscribe(C) as subscription:
            state = dict(self._store)
            if state.get("state") == "running":
                so_far = await self._hub.so_far(C, subscription)
                if so_far is None:
                    state = dict(self._store)
                else:
                    self.text = so_far.text
                    self.sentences = {one["index"]: one["text"] for one in so_far.sentences}
            if state.get("state") == "done":
                self.whole = state["text"]
                return
            while not self.whole and not self.cut:
                await self._follow(subscription)

    async def _follow(self, subscription: Subscription) -> None:
        for frame in await subscription.next():
            match frame:
                case None:
                    self.cut = True
                    return
                case {"type": "token", "text": text}:
                    self.text += text
                case {"type": "sentence", "index": index, "text": text}:
                    self.sentences[index] = text
                case {"type": "reply", "text": text}:
                    self.whole = text
                    return


async def turn(net: Net, hub: Hub, store: dict[str, str], *, tokens: bool) -> str:
    """Run one turn as a lane does: commit, begin, publish, commit, publish, end."""
    store.update(state="running")
    await asyncio.sleep(net.chance.uniform(0, 0.002))
    live = LiveTurn("t", {"type": "turn", "turn": "t"}, 1)
    hub.begin(C, live)
    for number in range(20):
        if tokens:
            live.text.append(f"{number} ")
            hub.publish(C, {"type": "token", "turn": "t", "text": f"{number} "})
        else:
            live.sentences.append(Sentence(number, f"{number} "))
            hub.publish(C, {"type": "sentence", "turn": "t", "index": number, "text": f"{number} ", "citations": []})
        await asyncio.sleep(net.chance.uniform(0, 0.003))
    whole = "".join(f"{number} " for number in range(20))
    live.settled = True
    await asyncio.sleep(net.chance.uniform(0, 0.002))
    store.update(state="done", text=whole)
    await asyncio.sleep(net.chance.uniform(0, 0.002))
    hub.publish(C, {"type": "reply", "turn": "t", "text": whole})
    hub.end(C)
    return whole


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("seed", range(12))
async def test_sockets_anywhere_and_at_any_time_see_the_turn_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, seed: int, tokens: bool
) -> None:
    monkeypatch.setattr(shared_hub, "ASK_S", PATIENCE_S)
    net, store = Net("a", "b", "c", seed=seed), {}  # type: ignore[var-annotated]
    net.holder = "b"
    readers = [Reader(net.hubs[net.chance.choice("abc")], store) for _ in range(8)]
    tasks: list[asyncio.Task[None]] = []

    async def come() -> None:
        for reader in readers:
            tasks.append(asyncio.create_task(reader.read()))
            await asyncio.sleep(net.chance.uniform(0, 0.008))

    coming = asyncio.create_task(come())
    await asyncio.sleep(net.chance.uniform(0, 0.01))
    whole = await turn(net, net.hubs["b"], store, tokens=tokens)
    await coming
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*tasks)
    for reader in readers:
        assert reader.whole == whole
        assert not reader.cut
        # Whoever came when all was over read it in the store.
        seen = reader.text or "".join(text for _, text in sorted(reader.sentences.items()))
        assert seen in (whole, "")
    assert any(reader.text or reader.sentences for reader in readers)
    await net.close()


async def test_nobody_elsewhere_costs_one_word_a_turn() -> None:
    net = Net("a", "b")
    with net.hubs["b"].subscribe(C):
        await turn(net, net.hubs["b"], {}, tokens=True)
    assert [message["kind"] for _, _, message in net.said] == ["begin"]
    await net.close()


async def test_what_a_gateway_says_that_slept_through_its_turns_end_is_not_heard() -> None:
    net = Net("a", "b", "c")
    net.holder = "b"
    stale, newer = LiveTurn("t", {"type": "turn", "turn": "t"}, 1), LiveTurn("t", {"type": "turn", "turn": "t"}, 2)
    with net.hubs["a"].subscribe(C) as subscription:
        net.hubs["b"].begin(C, stale)
        await net.settled()
        net.hubs["b"].publish(C, {"type": "token", "turn": "t", "text": "old"})
        await net.settled()
        assert [frame and frame["type"] for frame in await subscription.next()] == ["turn", "token"]
        net.hubs["c"].begin(C, newer)
        await net.settled()
        assert (await subscription.next())[0] is None, "what was seen of the old one does not hold: it comes back"
    with net.hubs["a"].subscribe(C) as subscription:
        net.holder = "c"
        assert await net.hubs["a"].so_far(C, subscription) is not None
        net.hubs["b"].publish(C, {"type": "token", "turn": "t", "text": "stale"})
        net.hubs["b"].begin(C, stale)
        net.hubs["c"].publish(C, {"type": "token", "turn": "t", "text": "new"})
        await net.settled()
        assert [frame and frame["text"] for frame in await subscription.next()] == ["new"]
    await net.close()


async def test_a_dead_holder_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_hub, "ASK_S", 0.05)
    net = Net("a", "b")
    net.holder = "b"
    net.dead.add("b")
    with net.hubs["a"].subscribe(C) as subscription:
        assert await net.hubs["a"].so_far(C, subscription) is None
    await net.close()


async def test_tokens_that_a_snapshot_holds_do_not_come_again() -> None:
    hub = Hub()
    with hub.subscribe(C) as subscription:
        live = LiveTurn("t", {"type": "turn", "turn": "t"})
        hub.begin(C, live)
        live.text.append("one ")
        hub.publish(C, {"type": "token", "turn": "t", "text": "one "})
        so_far = await hub.so_far(C, subscription)
        assert so_far is not None
        assert so_far.text == "one "
        hub.publish(C, {"type": "token", "turn": "t", "text": "two"})
        assert [frame and frame.get("text") for frame in await subscription.next()] == [None, "two"]
