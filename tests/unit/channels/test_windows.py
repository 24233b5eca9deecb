"""Replies that come too late for free text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from channels.base import Channel, OutboundReply, Source, Template
from channels.errors import DeliveryFailed
from channels.registry import PLATFORMS, build_channel
from channels.testing import FakePlatform

DAY_S = 24 * 3600.0
TEMPLATE = Template("late_answer", "en", ("about your question", "{reply}"))
SECRETS = {"app_secret": "s" * 32, "verify_token": "token", "access_token": "EAA"}
TO = {"whatsapp": {"to": "15550100001", "message_id": "wamid.1"}, "messenger": {"recipient": "1"}}
TO["instagram"] = TO["messenger"]


def channel(name: str) -> Channel:
    return build_channel(name, app="main", secrets=SECRETS, api_url="https://graph.example/v23.0")


def late(name: str, since_s: float | None, text: str = "Within **30 days** [1].", **more: Any) -> list[Any]:
    sources = (Source(1, "Returns", "returns.md"),)
    reply = OutboundReply("1122", TO[name], text, "out-1", sources, since_heard_s=since_s, **more)
    return list(channel(name).render(reply))


@pytest.mark.parametrize("since_s", [None, 0.0, DAY_S])
@pytest.mark.parametrize("name", sorted(TO))
def test_within_a_day_and_where_it_is_not_known_a_reply_goes_out_as_ever(name: str, since_s: float | None) -> None:
    assert late(name, since_s, template=TEMPLATE) == late(name, 0.0)


@pytest.mark.parametrize("name", sorted(TO))
def test_later_than_that_it_is_not_sent_blindly(name: str) -> None:
    with pytest.raises(DeliveryFailed, match="last wrote 26 hours ago") as caught:
        late(name, DAY_S + 7200.0)
    assert not caught.value.retryable


def test_on_whatsapp_a_late_reply_goes_out_in_the_brands_template() -> None:
    (call,) = late("whatsapp", DAY_S + 1, text="Within **30 days** [1].\n\n- free\n- by mail", template=TEMPLATE)
    assert call.json == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "15550100001",
        "type": "template",
        "template": {
            "name": "late_answer",
            "language": {"code": "en"},
            "components": [
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "about your question"},
                        {"type": "text", "text": "Within *30 days* [1]. • free • by mail [1] Returns"},
                    ],
                }
            ],
        },
        "biz_opaque_callback_data": "out-1",
    }
    platform = FakePlatform(PLATFORMS["whatsapp"].stand_in)
    assert channel("whatsapp").receipt(*platform(call))
    assert platform.texts == ["about your question Within *30 days* [1]. • free • by mail [1] Returns"]


def test_a_reply_that_does_not_fit_into_the_template_is_not_cut() -> None:
    with pytest.raises(DeliveryFailed, match="does not fit into the template") as caught:
        late("whatsapp", DAY_S + 1, text="A sentence of some words. " * 60, template=TEMPLATE)
    assert not caught.value.retryable


@pytest.mark.parametrize("name", ["messenger", "instagram"])
def test_a_person_may_answer_for_seven_days_and_says_so(name: str) -> None:
    (call,) = late(name, 7 * DAY_S, by_person=True)
    fields: Mapping[str, Any] = call.json
    assert (fields["messaging_type"], fields["tag"]) == ("MESSAGE_TAG", "HUMAN_AGENT")
    assert channel(name).receipt(*FakePlatform(PLATFORMS[name].stand_in)(call))
    (soon,) = late(name, 60.0, by_person=True)
    assert "tag" not in soon.json
    with pytest.raises(DeliveryFailed, match="write again"):
        late(name, 7 * DAY_S + 1, by_person=True)
