"""A lane whose engine is slow shows its reply while it grows, on a platform that can."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.delivery.growing import Growing
from service.delivery.outbox import as_it_is, deliver_due
from service.storage.database import Database
from service.storage.tables import outbox
from service.testing import ScriptedGenerator
from tests.patience import PATIENCE_S
from tests.unit.service.fake_engines import until
from tests.unit.service.storage.support import Clock, rows
from tests.unit.service.storage.test_growing import Slack, app
from tests.unit.service.test_lanes import Bench

ONE = "An item can be returned within 30 days of delivery [1]."
SAYS = f"{ONE} You have 30 days of delivery [1]."


@pytest.fixture
async def db(tmp_path: Path) -> Database:
    return await Database.open(f"sqlite:///{tmp_path}/brandvoice.db")


@pytest.mark.parametrize(("patience_s", "grows"), [(0.0, True), (10 * PATIENCE_S, False)])
async def test_a_slow_reply_grows_and_a_quick_one_comes_whole(db: Database, patience_s: float, *, grows: bool) -> None:
    slack, channels = Slack(), app()
    bench = Bench(db, ScriptedGenerator([SAYS], delay_s=0.03))
    bench.lanes._growing = Growing(db, channels, slack.send, ready=as_it_is, patience_s=patience_s)
    await bench.hear(1, "How long can I return an item?")
    await until(lambda: inbox_is_empty(bench))
    assert slack.methods == (["chat.postMessage"] + ["chat.update"] * (len(slack.calls) - 1) if grows else [])
    await deliver_due(db, channels, slack.send, clock=Clock())
    (row,) = await rows(db, outbox)
    assert (row.state, len(slack.slack.shown("D1"))) == ("sent", 1)
    assert slack.slack.shown("D1")[0].startswith("An item can be returned within 30 days of delivery [1].")
    assert "…" not in slack.slack.shown("D1")[0]
    await db.close()


def inbox_is_empty(bench: Bench) -> bool:
    return not bench.lanes._lanes
