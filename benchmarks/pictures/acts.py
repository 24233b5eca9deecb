"""What customers and agents do before the pictures are taken, in the pages themselves: asked, and corrected."""

from __future__ import annotations

from playwright.sync_api import Browser, FilePayload, Page, expect

from benchmarks.pictures.stage import Stage
from service.console.people.sessions import COOKIE

BRAND = "velmora"
QUESTION = "How long do I have to return an unopened item?"
QUESTIONS = (QUESTION, "Can I pay with a gift card?", "Do you offer gift wrapping?", "Can a watch strap be replaced?")
BETTER = "An unopened item can be returned within 30 days of delivery. It would be our pleasure to arrange it."
CANNED = (
    ("The parcel is late", "We regret the delay. We are asking the carrier, and write to you before the day ends."),
    ("A return is on its way", "Your return has reached us. The amount is paid back within ten days."),
)
BROUGHT: tuple[FilePayload, ...] = (
    {
        "name": "engraving.md",
        "mimeType": "text/markdown",
        "buffer": b"# Engraving\n\nWatches are engraved with up to 20 letters. It costs $40 and takes 5 days.\n",
    },
    {"name": "price-list.xls", "mimeType": "application/vnd.ms-excel", "buffer": b"\xd0\xcf\x11\xe0" + bytes(64)},
)


def play(browser: Browser, stage: Stage, token: str) -> None:
    """Customers ask; an agent corrects two answers."""
    shop = browser.new_page()
    shop.goto(f"{stage.url}/shop/{BRAND}")
    shop.locator("brandvoice-chat .launcher").click()
    for count, question in enumerate(QUESTIONS, 1):
        _ask(shop, question)
        expect(shop.get_by_role("button", name="Helpful", exact=True)).to_have_count(count, timeout=30_000)
    shop.context.close()

    context = browser.new_context()
    context.add_cookies([{"name": COOKIE, "value": token, "url": stage.url}])
    page = context.new_page()
    page.goto(f"{stage.url}/console/corrections?brand={BRAND}")
    links = page.locator('main a[href*="/corrections/new/"]')
    for address in [one.evaluate("link => link.href") for one in links.all()[:2]]:
        page.goto(f"{address}?kind=voice")
        page.get_by_label("The reply as it should have been").fill(BETTER)
        page.get_by_label("returns.md").check()
        page.get_by_role("button", name="Propose").click()
        expect(page.get_by_text("Thank you. It is kept")).to_be_visible()
    for title, text in CANNED:
        page.goto(f"{stage.url}/console/inbox/canned?brand={BRAND}")
        page.get_by_label("Title", exact=True).fill(title)
        page.get_by_label("Text", exact=True).fill(text)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.goto(f"{stage.url}/console/knowledge?brand={BRAND}")
    page.get_by_label("Files", exact=True).set_input_files(list(BROUGHT))
    page.get_by_role("button", name="Take them in").click()
    expect(page.get_by_role("heading", name="What became of each file")).to_be_visible(timeout=60_000)
    context.close()


def _ask(shop: Page, question: str) -> None:
    box = shop.get_by_label("Your message")
    box.fill(question)
    box.press("Enter")
