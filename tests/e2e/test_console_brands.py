"""A brand made of each template in the browser: asked through the widget at once, changed, put away; nothing restarts.

The gateway is real but for its weights: the engine says what the test tells it.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.console.person import Role
from tests.e2e.conftest import Running
from tests.e2e.console import Console, console
from tests.e2e.pages import BROWSER, accessible, field, launcher, picture

pytestmark = BROWSER
ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = ROOT.parent / "shared" / "data" / "safety" / "dompurify_expect.json"
ADMIN = {"*": Role.ADMIN}
ASKED = {
    "shop": ("How long is the warranty?", "Everything we sell has a warranty of 2 years."),
    "bank": ("What does the account cost?", "The current account costs $4 a month."),
    "software": ("What does the Starter plan cost?", "The Starter plan costs $9 for each member and month."),
}

INSERT = """line => {
  const parsed = document.createElement('template');
  parsed.innerHTML = line;
  const script = document.createElement('script');
  for (const one of parsed.content.firstChild.attributes) script.setAttribute(one.name, one.value);
  document.body.append(script);
}"""


@pytest.fixture
def house(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    with console(browser, tmp_path / "home", monkeypatch) as one:
        yield one


def make(page: Page, house: Console, kind: str, company: str, name: str = "") -> None:
    """Fill the form of a template, and wait until the brand's pages are in."""
    page.goto(f"{house.url}/console/brands")
    page.get_by_role("link", name="New brand").click()
    page.get_by_role("navigation", name="Templates").get_by_role("link", name=kind.title()).click()
    page.get_by_label("Company", exact=True).fill(company)
    page.get_by_label("Short name", exact=True).fill(name)
    page.get_by_role("button", name="Make the brand").click()
    expect(page.get_by_text(re.compile(r"It answers from \d+ pages"))).to_be_visible()


def searching_by_words(house: Console, name: str) -> None:
    """The stand-in for the encoder tells words apart and nothing else: whatever it finds shall be answered from."""
    desk = house.gateway.brand_desk
    text = desk.files(name).read() + "retrieval: {min_answerability: 0}\n"
    house.run(desk.rewrite(name, text, None))


def ask(page: Page, question: str, answer: str) -> None:
    """Ask the widget of a page."""
    launcher(page).click()
    field(page).fill(question)
    page.keyboard.press("Enter")
    expect(page.locator(".message.bot", has_text=answer.rstrip("."))).to_be_visible()


@pytest.mark.parametrize("kind", list(ASKED))
def test_a_brand_of_a_template_answers_in_the_widget_without_a_restart(house: Console, kind: str) -> None:
    page = house.person("Anna", ADMIN)
    make(page, house, kind, "Fernhill")
    searching_by_words(house, "fernhill")
    question, house.engine.says = ASKED[kind]
    shop = house.page()
    shop.goto(f"{house.url}/shop/fernhill")
    ask(shop, question, house.engine.says)
    expect(shop.locator(".message.bot").first).to_contain_text(re.compile("Fernhill|What can we help"))
    said = "\n".join(one["content"] for one in house.engine.chats[-1]["messages"])
    # The base model reads the guide until a trained voice speaks.
    assert "The voice of Fernhill" in said
    page.goto(f"{house.url}/console/training/brands/fernhill/plan?recipe=quick_cpu")
    expect(page.get_by_text("conversations.jsonl").first).to_be_visible()


def test_greeting_and_colour_change_while_one_writes_and_are_what_visitors_get(house: Console) -> None:
    page = house.person("Anna", ADMIN)
    make(page, house, "shop", "Fernhill")
    stage = page.locator("#stage")
    expect(stage.locator(".message.bot").first).to_contain_text("Hello, and welcome to Fernhill.")
    page.get_by_label("Greeting", exact=True).fill("Good day from the greenhouse.")
    page.get_by_label("Colour", exact=True).fill("#7a1f4d")
    expect(stage.locator(".message.bot").first).to_have_text("Good day from the greenhouse.")
    expect(stage.locator(".head")).to_have_css("background-color", "rgb(122, 31, 77)")
    at_end = stage.locator(".launcher").bounding_box()
    page.get_by_label("Corner of the page", exact=True).select_option("start")
    at_start = stage.locator(".launcher").bounding_box()
    assert at_end is not None and at_start is not None
    assert at_start["x"] < at_end["x"] - 200
    snippet = page.get_by_label("Put this line into your pages")
    expect(snippet).to_have_value(re.compile(r'data-accent="#7a1f4d" data-position="start" async'))
    copied = snippet.input_value()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    page.locator("#look").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    # A page without a chat of its own, with the very line that was copied.
    shop = house.page()
    shop.goto(f"{house.url}/livez")
    shop.evaluate(INSERT, copied)
    expect(launcher(shop)).to_have_css("background-color", "rgb(122, 31, 77)")
    corner = launcher(shop).bounding_box()
    assert corner is not None
    assert corner["x"] < 100
    launcher(shop).click()
    expect(shop.locator(".message.bot").first).to_have_text("Good day from the greenhouse.")


def test_rules_guide_conversations_and_the_whole_file_are_changed_in_the_browser(house: Console) -> None:
    page = house.person("Anna", ADMIN)
    make(page, house, "shop", "Fernhill")
    page.get_by_label("Words that always go to a person").fill("greenfly")
    page.get_by_label("Time zone", exact=True).fill("Europe/Nowhere")
    page.get_by_label("Monday", exact=True).fill("09:00-12:30, 13:30-18:00")
    page.locator("#person").get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="is no time zone")).to_be_visible()
    page.get_by_label("Time zone", exact=True).fill("Europe/Paris")
    page.locator("#person").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    shop = house.page()
    shop.goto(f"{house.url}/shop/fernhill")
    ask(shop, "There are greenfly on my plant", "passed this on to our team")

    page.get_by_role("link", name="Voice guide").click()
    page.get_by_label("Text", exact=True).fill("Be brief.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    page.get_by_label("A reply", exact=True).fill("Sure, delivery takes 2 to 4 business days.")
    expect(page.get_by_text(re.compile("ounds? like the brand: "))).to_be_visible()

    page.get_by_role("link", name="Conversations").click()
    page.get_by_label("The customer says").fill("Do you sell ferns?")
    page.get_by_label("The brand replies").fill("Sure, from May to September.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="names the pages")).to_be_visible()
    page.get_by_label("Pages it rests on").fill("contact.md")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("56 conversations")).to_be_visible()
    page.get_by_label("Find", exact=True).fill("ferns")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".example")).to_have_count(1)
    page.locator(".example").get_by_role("button", name=re.compile("Delete")).click()
    expect(page.get_by_text("55 conversations")).to_be_visible()

    page.get_by_role("link", name="Whole file").click()
    file = page.get_by_label("brands/fernhill.yaml")
    text = file.input_value()
    file.fill(text.replace("theme:", "thme:"))
    page.get_by_role("button", name="Check and save").click()
    expect(
        page.get_by_role("alert").filter(has_text=re.compile(r"fernhill\.yaml:\d+: thme is not a known key"))
    ).to_be_visible()
    file.fill(text.replace("#0f5c4d", "#123456"))
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert house.gateway.config.brands["fernhill"].theme.accent == "#123456"


def test_an_archived_brand_answers_nobody_until_it_is_brought_back(house: Console) -> None:
    page = house.person("Anna", ADMIN)
    make(page, house, "bank", "Fernhill")
    page.get_by_role("link", name="Archive this brand").click()
    accessible(page, "archive")
    page.get_by_role("button", name="Archive it").click()
    expect(page.get_by_text("fernhill is archived")).to_be_visible()
    shop = house.page()
    assert (found := shop.goto(f"{house.url}/shop/fernhill")) is not None
    assert found.status == 404
    page.get_by_role("button", name="Bring fernhill back").click()
    expect(page.get_by_text("fernhill is back.")).to_be_visible()
    assert (found := shop.goto(f"{house.url}/shop/fernhill")) is not None
    assert found.status == 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_every_page_is_accessible_and_fits(house: Console, size: str, scheme: str) -> None:
    page = house.person("Anna", ADMIN, size=size, scheme=scheme)
    page.goto(f"{house.url}/console/brands/new?kind=bank")
    fits(page, f"new-{size}-{scheme}")
    make(page, house, "shop", "Fernhill")
    for name in ("", "/voice", "/conversations", "/file"):
        page.goto(f"{house.url}/console/brands/fernhill{name}")
        if not name:
            expect(page.locator("#stage .message.bot").first).to_be_visible()
            expect(page.locator("brandvoice-chat")).to_have_count(1)
        fits(page, f"one{name.replace('/', '-')}-{size}-{scheme}")
    page.goto(f"{house.url}/console/brands/velmora")
    fits(page, f"configured-{size}-{scheme}")
    page.goto(f"{house.url}/console/brands")
    fits(page, f"list-{size}-{scheme}")


def fits(page: Page, name: str) -> None:
    """Axe finds nothing, and nothing stands beyond the edge."""
    accessible(page, name)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    picture(page, f"brands-{name}")


@pytest.mark.skipif(not PAYLOADS.exists(), reason=f"{PAYLOADS} is not here")
def test_payloads_as_names_greetings_and_conversations_run_nothing(house: Console) -> None:
    payloads = [" ".join(one["payload"].split()) for one in json.loads(PAYLOADS.read_text("utf-8"))]
    payloads = [one for one in payloads if one]
    short = [one for one in payloads if 0 < len(one) <= 120]
    assert len(short) > 100
    page = house.person("Anna", ADMIN)
    make(page, house, "software", short[0], "hostile")
    ran = "() => Boolean(window.xssed || window.x)"
    key = page.evaluate("document.querySelector('[name=csrf]').value")
    for at, one in enumerate(payloads):
        greeting = one[:1000]
        name = short[at % len(short)]
        changed = {
            "display_name": name,
            "tagline": name,
            "greeting": greeting,
            "starters": [greeting],
            "refusals": [greeting],
        }
        done = page.request.patch(
            f"{house.url}/v1/brands/hostile/settings", data={"settings": changed}, headers={"X-CSRF-Token": key}
        )
        assert done.ok, done.text()
        example = {"topic": name[:80], "exchanges": [{"said": one[:4000], "reply": one[:4000], "outcome": "refused"}]}
        done = page.request.post(f"{house.url}/v1/brands/hostile/examples", data=example, headers={"X-CSRF-Token": key})
        assert done.ok, done.text()
        if at % 12 == 0 or at == len(payloads) - 1:
            page.goto(f"{house.url}/console/brands/hostile")
            expect(page.locator("#stage .message.bot").first).to_have_text(greeting.strip())
            assert not page.evaluate(ran)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for path in (
        "/console/brands",
        "/console/brands/hostile/conversations",
        "/console/brands/hostile/file",
        "/shop/hostile",
        "/",
    ):
        page.goto(house.url + path)
        assert not page.evaluate(ran)


REAL = {
    "shop": ("How long does delivery take?", "delivery.md", "Do you offer a student discount?"),
    "bank": ("What does the account cost?", "fees.md", "Do you sell car insurance?"),
    "software": ("How many members can the Team plan have?", "plans-and-pricing.md", "Will there be a dark mode?"),
}


@pytest.mark.parametrize("kind", list(REAL))
def test_with_the_real_engine_it_answers_from_its_pages_and_refuses_what_none_says(gateway: Running, kind: str) -> None:
    name = f"fernhill-{kind}"
    made = gateway.post("/v1/brands", {"template": kind, "answers": {"company": "Fernhill"}, "name": name})
    assert made.get("name") == name, made
    deadline = time.monotonic() + 120
    while (found := gateway.get(f"/v1/brands/{name}/index"))["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert found["state"] == "done", found
    question, page, foreign = REAL[kind]
    answer, refusal = gateway.ask(question, name), gateway.ask(foreign, name)
    assert gateway.cli("config", "check").returncode == 0
    urllib.request.urlopen(urllib.request.Request(f"{gateway.url}/v1/brands/{name}", method="DELETE"), timeout=30)
    assert answer["outcome"] == "answered", answer
    assert page in {one["document"] for one in answer["citations"]}, answer
    assert refusal["outcome"] == "refused", refusal
