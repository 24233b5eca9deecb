"""Brands are made of templates, changed, put away and brought back, and other gateways see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.brands.settings import Settings
from service.errors import BrandUnknown, NotFound, NotPossible, RequestInvalid
from tests.unit.service.brands.support import COMPANY, House, house

NAME = "fernhill-pots"


@pytest.fixture
def here(tmp_path: Path) -> House:
    return house(tmp_path)


async def made(here: House, kind: str = "shop") -> House:
    await here.desk.create(kind, {"company": COMPANY})
    return here


@pytest.mark.parametrize("kind", ["shop", "bank", "software"])
async def test_a_brand_of_a_template_is_served_with_pages_voice_and_name(here: House, kind: str) -> None:
    await made(here, kind)
    await here.indexed(NAME)
    brand = here.served.brands[NAME]
    assert brand.display_name == COMPANY
    assert COMPANY in here.served.guides[NAME]
    assert len(here.served.knowledge[NAME].documents()) == len(list(brand.pages.glob("*.md"))) >= 8
    assert here.told.names == [NAME]


async def test_another_gateway_takes_it_up_and_lets_it_go(here: House, tmp_path: Path) -> None:
    other = house(tmp_path)
    await made(here)
    await other.desk.refresh()
    assert other.served.brands[NAME] == here.served.brands[NAME]
    await here.desk.archive(NAME)
    await other.desk.refresh()
    assert NAME not in other.served.brands
    assert other.told.names == [NAME, NAME]


async def test_what_a_form_changes_is_served_and_the_rest_stays(here: House) -> None:
    await made(here)
    before = here.served.brands[NAME]
    changed = Settings(
        greeting="Good day.", accent="#123456", unsure=None, timezone="Europe/Paris", hours={"mon": ["09:00-17:00"]}
    )
    await here.desk.change(NAME, changed, None)
    after = here.served.brands[NAME]
    assert (after.words.greeting, after.theme.accent) == ("Good day.", "#123456")
    assert after.handover.unsure is None
    assert after.handover.hours is not None
    assert after.handover.hours.days == {"mon": ("09:00-17:00",)}
    assert after.words.refusals == before.words.refusals
    assert after.widget.site_key == before.widget.site_key


async def test_a_change_that_is_wrong_names_the_line_and_what_served_goes_on(here: House) -> None:
    await made(here)
    with pytest.raises(RequestInvalid, match=rf"brands/{NAME}\.yaml:\d+: theme\.accent") as told:
        await here.desk.change(NAME, Settings(accent="red"), None)
    assert str(here.home.root) not in str(told.value)
    assert here.served.brands[NAME].theme.accent == "#0f5c4d"


async def test_a_file_that_somebody_broke_keeps_what_served_and_is_told_of(here: House) -> None:
    await made(here)
    path = here.desk.files(NAME).settings
    path.write_text(path.read_text().replace("words:", "wrods:"), encoding="utf-8")
    await here.desk.refresh()
    assert "wrods is not a known key" in here.desk.left_out[NAME]
    assert here.served.brands[NAME].words.greeting
    path.write_text(path.read_text().replace("wrods:", "words:"), encoding="utf-8")
    await here.desk.refresh()
    assert here.desk.left_out == {}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (("pages: brands/fernhill-pots/pages", "pages: /etc"), "pages lies outside"),
        (
            ("voice_guide: brands/fernhill-pots/voice.md", "voice_guide: brands/fernhill-pots/../../x.md"),
            "lies outside",
        ),
        (("name: fernhill-pots", "name: velmora"), "names the brand 'velmora'"),
        (("tagline:", "a: &a [x]\nb: *a\ntagline:"), r":\d+ uses the alias \*a"),
        (("words:", "words: [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]\nx:"), "levels deep"),
        (("words:", "words: ["), r"yaml:\d+ is not YAML"),
        (
            ("theme:", "channels: [{channel: slack, app: nowhere, team_id: T1}]\ntheme:"),
            "there is no slack app 'nowhere'",
        ),
        (
            ("theme:", "channels: [{channel: slack, app: main, team_id: T0VELMORA1}]\ntheme:"),
            "taken by the brand 'velmora'",
        ),
    ],
)
async def test_a_whole_file_that_must_not_be_is_refused(here: House, changed: tuple[str, str], reason: str) -> None:
    await made(here)
    text = here.desk.files(NAME).read()
    assert changed[0] in text
    with pytest.raises(RequestInvalid, match=reason):
        await here.desk.rewrite(NAME, text.replace(*changed, 1), None)
    assert here.desk.files(NAME).read() == text


async def test_two_people_do_not_overwrite_each_other(here: House) -> None:
    await made(here)
    _, known = here.desk.settings(NAME)
    await here.desk.change(NAME, Settings(greeting="One."), known)
    with pytest.raises(NotPossible, match="Somebody changed"):
        await here.desk.change(NAME, Settings(greeting="Two."), known)
    assert here.served.brands[NAME].words.greeting == "One."


async def test_a_name_that_is_or_was_there_is_not_given_again(here: House) -> None:
    await made(here)
    for name in (NAME, "velmora"):
        with pytest.raises(NotPossible, match="is taken"):
            await here.desk.create("bank", {"company": COMPANY}, name)
    await here.desk.archive(NAME)
    with pytest.raises(NotPossible, match="is taken"):
        await here.desk.create("shop", {"company": COMPANY})
    await here.desk.restore(NAME)
    assert here.served.brands[NAME].display_name == COMPANY
    assert here.desk.archived() == []


async def test_a_configured_brand_is_not_changed_here(here: House) -> None:
    with pytest.raises(BrandUnknown):
        await here.desk.change("velmora", Settings(greeting="x"), None)
    with pytest.raises(BrandUnknown):
        await here.desk.archive("velmora")
    assert here.desk.settings("velmora")[0].display_name == "Maison Velmora"


@pytest.mark.parametrize(
    ("given", "name", "reason"),
    [
        ({"company": " "}, "", "this is empty"),
        ({"company": "x" * 121}, "", "at most 120"),
        ({"company": COMPANY, "email": "nobody"}, "", "not of this form"),
        ({"company": COMPANY, "return_days": "-1"}, "", "not of this form"),
        ({"company": COMPANY}, "Archived!", "cannot be a brand's name"),
        ({"company": COMPANY}, "archived", "cannot be a brand's name"),
        ({"company": "株式会社"}, "", "cannot be a brand's name"),
    ],
)
async def test_a_form_that_is_not_filled_well_makes_nothing(
    here: House, given: dict[str, str], name: str, reason: str
) -> None:
    with pytest.raises(RequestInvalid, match=reason):
        await here.desk.create("shop", given, name)
    assert not here.home.brands.exists()


async def test_no_such_template_is_told(here: House) -> None:
    with pytest.raises(NotFound, match="bank, shop, software"):
        await here.desk.create("zoo", {"company": COMPANY})


async def test_words_of_the_form_cannot_end_a_string_of_yaml_or_json(here: House) -> None:
    hostile = '"\\": [x], {{email}} \' # \n- a: &b <script>'
    await here.desk.create("shop", {"company": hostile, "sells": hostile}, "hostile")
    await here.indexed("hostile")
    brand = here.served.brands["hostile"]
    assert brand.display_name == '"\\": [x], {{email}} \' # - a: &b <script>'
    assert brand.handover.keywords == ("complaint", "lawyer", "allergic reaction", "charged twice")


async def test_a_new_voice_guide_is_what_the_next_turn_reads(here: House) -> None:
    await made(here)
    await here.desk.write_guide(NAME, "Short.\r\n")
    assert here.served.guides[NAME] == "Short.\n"
    with pytest.raises(RequestInvalid):
        await here.desk.write_guide(NAME, " ")
