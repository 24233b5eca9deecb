"""The experiments of `make chaos` in their smallest form, on real gateway processes; and that they can fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.chaos import ack, forged, fuzz, kill, loops, lossy, machine, order, trouble
from benchmarks.chaos.__main__ import keep
from benchmarks.chaos.delivery import SCHEDULES_S, App, deliver
from benchmarks.chaos.forgeries import SIGNATURE, Target, forgeries
from benchmarks.chaos.kill import count
from benchmarks.chaos.rig import Rig, rig
from benchmarks.chaos.table import Row
from channels.base import OutboundReply, Request
from channels.registry import PLATFORMS
from tests.unit.channels.recorded import ABSENT, WEBHOOKS

pytestmark = pytest.mark.e2e


def held(rows: Sequence[Row]) -> None:
    """Every goal is met, and something was tried."""
    assert rows
    missed = [f"{row.what}: {row.result}" for row in rows if not row.met or not row.n]
    assert not missed, "\n".join(missed)


async def test_nothing_is_lost_or_doubled_when_the_gateway_is_killed() -> None:
    rows = await kill.kill(seed=7, points=6)
    assert {row.what.partition(": ")[2] for row in rows} >= set(PLATFORMS)
    held([row for row in rows if row.n])


async def test_nothing_is_doubled_when_answers_are_dropped() -> None:
    held([row for row in await lossy.lossy(seed=7, people=3, drops=0.3) if "0 dropped" not in row.result])


async def test_copies_at_once_get_one_reply() -> None:
    held(await order.storm(events=1, copies=20))


async def test_lanes_keep_their_order() -> None:
    held(await order.lanes(seed=7, people=10, messages=5))


async def test_one_malformed_part_of_a_body_is_kept_aside_and_the_others_are_answered() -> None:
    held(await order.batch())


async def test_forged_requests_are_refused() -> None:
    held(await forged.forged(seed=7, flips=3))


@pytest.mark.skipif(not WEBHOOKS.is_dir(), reason=ABSENT)
async def test_recorded_bodies_are_accepted() -> None:
    held([row for row in await forged.genuine() if row.n])


async def test_a_full_disk_loses_nothing() -> None:
    held(await trouble.disk_full(people=20))


async def test_an_engine_that_is_away_leaves_nobody_in_silence() -> None:
    held(await trouble.engine_dead(dead_s=300, faster=60, people=2))


async def test_busy_platforms_are_given_their_time() -> None:
    held(await trouble.busy_platform(retry_after_s=2))


async def test_a_wrong_clock_refuses_signed_times_and_nothing_else() -> None:
    held(await trouble.clock_off(off_s=600))


async def test_a_turn_that_breaks_speaks_in_the_brands_words_and_blocks_nobody() -> None:
    held(await trouble.poison())


async def test_a_message_that_kills_the_process_is_given_up_and_no_other_with_it() -> None:
    held(await trouble.deadly(beside=6))


async def test_our_bot_does_not_talk_with_itself() -> None:
    held(await loops.loops(seconds=2))


async def test_no_reply_can_call_anybody() -> None:
    held(await loops.pings())


async def test_mutated_bodies_headers_and_texts_break_nothing() -> None:
    held(await fuzz.fuzz(seed=7, runs=20))


async def test_webhooks_under_load_are_all_taken_and_answered() -> None:
    held([row for row in await ack.ack(rate=40, seconds=2, engine_s=0.5, limits=False) if row.met is not None])


async def test_idle_visitors_and_those_who_do_not_read_cost_little() -> None:
    held(await ack.idle(sockets=100, talkers=5, limits=False))
    held(await ack.slow_reader(seconds=3, readers=2, turns=2))


def test_any_order_of_messages_sends_and_crashes_keeps_the_promises() -> None:
    run_state_machine_as_test(machine.WayOfAMessage, settings=machine.profile(6))


# That they can fail.


async def test_a_lost_and_a_doubled_reply_would_be_seen() -> None:
    async with rig() as one:
        await one.begin()
        apps = [app for app in one.apps() if app.channel.name in ("slack", "telegram", "whatsapp")]
        sent = [(await one.deliver(app, f"k{at:05d}x00"), 1) for at, app in enumerate(apps)]
        assert await one.settled()
        window = one.platforms._shown
        place = next(place for place, shown in window.items() if shown.channel == "slack")
        del window[place]
        window["again"] = next(shown for shown in window.values() if shown.channel == "telegram")
        tallies = await count(one, sent)
    assert len(tallies["slack"].lost) == len(tallies["telegram"].doubled) == 1
    assert [row.met for row in kill.rows(tallies, "", 0.0)] == [False, False, True]


def test_a_send_that_is_made_again_though_it_may_have_arrived_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    render = machine._Lines.render

    def careless(self: machine._Lines, reply: OutboundReply) -> list[Request]:
        return [replace(call, repeatable=True) for call in render(self, reply)]

    monkeypatch.setattr(machine._Lines, "render", careless)
    with pytest.raises(AssertionError, match=r"shown ([2-9]|\d\d+) times"):
        run_state_machine_as_test(machine.WayOfAMessage, settings=machine.profile(200, shrink=False))


async def test_a_gateway_that_takes_forgeries_would_be_seen() -> None:
    async with rig() as one:
        await one.begin()
        app = next(app for app in one.apps() if app.channel.name == "slack")
        body = one.body(app, "k00001x00")
        refusals = forged.Refusals()
        right = [(name.encode(), value.encode()) for name, value in app.channel.sign(body).items()]
        settings = one.config.service.apps.slack[app.name]
        genuine = forged.Forgery("genuine", right, body)
        await forged._attack(one, Target(app, body, settings), genuine, refusals)
    assert refusals.taken == ["genuine"]


async def test_every_channel_is_attacked_and_delivers_by_a_schedule() -> None:
    assert set(SIGNATURE) == set(SCHEDULES_S) == set(PLATFORMS)


async def test_forgeries_are_as_many_kinds_as_there_are() -> None:
    async with rig() as one:
        settings = {(kind, name): app for kind, name, app in one.config.service.apps.each()}
        kinds = {
            app.channel.name: {
                forgery.kind
                for forgery in forgeries(_target(one, app, settings), random.Random(1), 2)  # noqa: S311
            }
            for app in one.apps()
        }
    always = {"unsigned", "wrong key", "truncated", "lengthened", "header twice", "not hex or ASCII"}
    assert all(found >= always for found in kinds.values())
    assert kinds["teams"] >= {
        "JWT: none", "JWT: HS256 with the public key", "JWT: wrong audience", "JWT: wrong issuer", "JWT: expired",
        "JWT: another serviceUrl",
    }  # fmt: skip
    assert all("stale or future stamp" in kinds[name] for name in ("slack", "discord"))
    assert all("SHA-1 in its place" in kinds[name] for name in ("slack", "whatsapp", "messenger", "instagram"))


def _target(one: Rig, app: App, settings: dict[tuple[str, str], object]) -> Target:
    return Target(app, one.body(app, "k00001x00"), settings[app.channel.name, app.name])  # type: ignore[arg-type]


async def test_a_platform_gives_up_as_it_does() -> None:
    async with rig() as one:
        apps = {app.channel.name: app for app in one.apps()}
        gone = [deliver(one.session, one.url, apps[name], b"{}", "", faster=10_000) for name in ("slack", "discord")]
        slack, discord = await asyncio.gather(*gone)
    assert (slack.acked, slack.tries, discord.tries) == (False, 4, 1)


def test_a_kept_table_takes_the_place_of_the_one_before(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "2026-11-26-chaos.md"
    for name, text in (("kill", "one"), ("forged", "two"), ("kill", "three")):
        keep(path, name, text)
    assert path.read_text() == "# 2026-11-26-chaos\n\n## kill\n\nthree\n\n## forged\n\ntwo\n"
