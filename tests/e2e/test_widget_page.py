"""The widget on a shop's own site: the element, the page's interface, identity, origins, and hostile words."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from tests.e2e.pages import BROWSER, PAYLOADS, QUESTION, accessible, ask, field, launcher, picture
from tests.e2e.shop_page import IDENTITY_SECRET, SITE_KEY, Site, chatting, policy, site
from tests.patience import PATIENCE_S

pytestmark = BROWSER

TAG = '<script src="{gateway}/widget.js" data-site="' + SITE_KEY + '" async></script>'
PLAIN = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Shop</title>{before}{tag}</head>'
    "<body><main><h1>Shop</h1><p>Words of the shop.</p>{body}</main></body></html>"
)
EARLY = """
window.brandvoice = window.brandvoice || function () { (brandvoice.q = brandvoice.q || []).push(arguments); };
window.said = [];
for (const event of ['ready', 'message', 'unread', 'handoff', 'error', 'open', 'close', 'sent']) {
  brandvoice('on', event, (detail) => said.push([event, detail]));
}
"""
WATCH = """
window.ran = []; window.violations = [];
for (const name of ['alert', 'confirm', 'prompt', 'print'])
  window[name] = (...words) => ran.push([name, ...words.map(String)]);
addEventListener('securitypolicyviolation', ({violatedDirective, blockedURI}) =>
  violations.push(`${violatedDirective} ${blockedURI}`));
"""
STYLE = """
brandvoice-chat { display: block; height: 480px; --brandvoice-height: 480px }
"""
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => list.getEntries().forEach((one) => window.shifts += one.value))
  .observe({type: 'layout-shift', buffered: true});
"""


@dataclass
class Shop:
    """A shop's site, and the gateway that its pages chat with."""

    site: Site
    gateway: str

    def page(self, *, language: str = "en", before: str = "", body: str = "", tag: str = TAG) -> str:
        """The address of a page made of these."""
        words = {"language": language, "before": before, "body": body, "tag": tag.format(gateway=self.gateway)}
        self.site.pages["/"] = PLAIN.format(**words)
        return self.site.url


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with site({"/early.js": EARLY, "/watch.js": WATCH, "/shifts.js": SHIFTS, "/shop.css": STYLE}) as its:
        with chatting(tmp_path_factory.mktemp("home"), [its.url]) as gateway:
            its.policy = policy(gateway)
            yield Shop(its, gateway)


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    errors: list[str] = []
    strangers: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    ours = (shop.site.url, shop.site.url.replace("127.0.0.1", "localhost"), shop.gateway, "data:")
    page.on("request", lambda request: strangers.append(request.url) if not request.url.startswith(ours) else None)
    yield page
    context.close()
    assert errors == []
    assert strangers == [], "the page asked another host"


def signed(user_id: str) -> dict[str, str]:
    return {
        "user_id": user_id,
        "hash": hmac.new(IDENTITY_SECRET.encode(), user_id.encode(), hashlib.sha256).hexdigest(),
    }


def conversation(page: Page) -> str | None:
    found: str | None = page.evaluate(f"JSON.parse(localStorage.getItem('brandvoice:{SITE_KEY}:conversation'))")
    return found


def said(page: Page, event: str) -> list[Any]:
    return [detail for name, detail in page.evaluate("window.said") if name == event]


def eventually(page: Page, expression: str) -> None:
    """Playwright's own way evaluates text in the page, which the shop's policy forbids."""
    for _ in range(int(PATIENCE_S * 10)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(expression)


def answered(page: Page, count: int = 1) -> None:
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_count(count)


def test_one_line_is_enough_and_what_is_called_early_happens_in_order(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/early.js"></script><script src="/shop.js"></script>'))
    page.evaluate("brandvoice('send', 'From a page that did not wait')")
    expect(page.locator("brandvoice-chat .message.user")).to_have_text(re.compile("From a page"))
    answered(page)
    names = [name for name, _ in page.evaluate("window.said")]
    assert names.index("open") < names.index("sent") < names.index("ready") < names.index("message")
    (message,) = said(page, "message")
    assert message["text"]
    assert set(message) == {"turn", "text", "author", "outcome", "citations"}


def test_calls_before_the_script_are_kept(page: Page, shop: Shop) -> None:
    shop.site.pages["/calls.js"] = EARLY + "brandvoice('open'); brandvoice('send', 'Kept');"
    page.goto(shop.page(before='<script src="/calls.js"></script>'))
    expect(page.locator("brandvoice-chat .message.user")).to_contain_text("Kept")
    expect(field(page)).to_be_focused()
    page.evaluate("brandvoice('close')")
    expect(launcher(page)).to_be_focused()
    warned: list[str] = []
    page.on("console", lambda line: warned.append(line.text))
    page.evaluate("brandvoice('explode')")
    assert "no command" in warned[0]


def test_an_answer_to_a_closed_panel_is_counted_and_told_of(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/early.js"></script>'))
    page.evaluate("brandvoice('send', 'Hello?'); brandvoice('close')")
    expect(page.locator("brandvoice-chat .badge")).to_have_text("1")
    assert {"count": 1} in said(page, "unread")
    assert page.title() == "Shop", "no flashing titles"
    launcher(page).click()
    expect(page.locator("brandvoice-chat .badge")).to_have_count(0)
    assert said(page, "unread")[-1] == {"count": 0}
    ask(page, "I want to talk to a person")
    eventually(page, "said.some(([name]) => name === 'handoff')")


def test_an_inline_chat_stands_where_the_page_put_it_and_moves_nothing(page: Page, shop: Shop) -> None:
    before = '<link rel="stylesheet" href="/shop.css"><script src="/shifts.js"></script>'
    body = '<brandvoice-chat label="Ask us"></brandvoice-chat><p id="after">After.</p>'
    page.goto(shop.page(before=before, body=body))
    expect(page.locator("brandvoice-chat .launcher")).to_have_count(0)
    expect(page.get_by_text("Online")).to_be_visible()
    assert page.evaluate("document.activeElement === document.body"), "it takes no focus by itself"
    page.wait_for_timeout(300)
    assert page.evaluate("shifts") == 0
    page.get_by_role("button", name="What does gift wrapping cost?").click()
    answered(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Maison Velmora")).to_be_visible()
    box = page.locator("brandvoice-chat").bounding_box()
    after = page.locator("#after").bounding_box()
    assert box is not None
    assert after is not None
    assert (box["height"], after["y"] >= box["y"] + 480) == (480, True)
    assert page.evaluate("shifts") < 0.01, "an answer that grows moves what stands below it, inside the panel"
    picture(page, "widget-inline")
    accessible(page)


def test_a_floating_chat_moves_nothing(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/shifts.js"></script>'))
    launcher(page).click()
    expect(page.get_by_text("Online")).to_be_visible()
    page.wait_for_timeout(700)  # what comes within half a second of a click is not counted
    assert page.evaluate("shifts") == 0
    ask(page, QUESTION)
    answered(page)
    assert page.evaluate("shifts") < 0.01, "an answer that grows moves what stands below it, inside the panel"


def test_the_widget_speaks_the_pages_language_and_keeps_to_its_direction(page: Page, shop: Shop) -> None:
    page.goto(shop.page(language="id-ID"))
    launcher(page).click()
    expect(page.get_by_label("Pesan Anda")).to_be_focused()
    expect(page.get_by_text("Daring")).to_be_visible()
    page.goto(shop.page(language='ar" dir="rtl'))
    box = launcher(page).bounding_box()
    assert box is not None
    assert box["x"] < 100, "at the line's end, which is on the left"
    page.evaluate("document.querySelector('brandvoice-chat').say('مرحبا، كم يوما لدي؟')")
    message = page.locator("brandvoice-chat .message.user")
    expect(message).to_have_css("direction", "rtl")
    page.goto(shop.page())
    page.evaluate("brandvoice('open')")
    message = page.locator("brandvoice-chat .message.user").first
    expect(message).to_have_css("direction", "rtl")  # also on a page in English


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_themes_it_by_variables_parts_and_a_theme_of_its_own(page: Page, shop: Shop, theme: str) -> None:
    shop.site.pages["/theme.css.js"] = """
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`brandvoice-chat
          { --brandvoice-accent: #006644; --brandvoice-radius: 4px; --brandvoice-width: 360px }
        brandvoice-chat::part(send) { border-radius: 2px }`);
      document.adoptedStyleSheets = [sheet];"""
    tag = TAG.replace("async", f'data-theme="{theme}" async')
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
    page.goto(shop.page(before='<script src="/theme.css.js"></script>', tag=tag))
    launcher(page).click()
    ask(page, QUESTION)
    answered(page)
    style = "(node, name) => getComputedStyle(node)[name]"
    panel = page.locator("brandvoice-chat .panel")
    assert panel.evaluate(style, "borderTopLeftRadius") == "4px"
    assert panel.evaluate(style, "width") == "360px"
    dark = panel.evaluate(style, "backgroundColor") == "rgb(24, 25, 28)"
    assert dark == (theme == "dark")
    assert page.locator("brandvoice-chat .send").evaluate(style, "borderTopLeftRadius") == "2px"
    if theme == "light":
        assert launcher(page).evaluate(style, "backgroundColor") == "rgb(0, 102, 68)"
    accessible(page)
    page.evaluate("document.querySelector('brandvoice-chat').setAttribute('theme', 'light')")
    assert panel.evaluate(style, "backgroundColor") == "rgb(255, 255, 255)"
    picture(page, f"widget-theme-{theme}")


def test_a_page_offers_its_own_questions(page: Page, shop: Shop) -> None:
    shop.site.pages["/starters.js"] = EARLY + "brandvoice('starters', ['Is this bag in stock?'])"
    page.goto(shop.page(before='<script src="/starters.js"></script>'))
    launcher(page).click()
    expect(page.locator("brandvoice-chat .replies button")).to_have_text(["Is this bag in stock?"])
    page.locator("brandvoice-chat .replies button").click()
    expect(field(page)).to_be_focused()
    expect(page.locator("brandvoice-chat .message.user")).to_contain_text("Is this bag in stock?")


# -------------------------------------------------------------- files


def test_a_visitor_sends_files_and_is_told_honestly_what_becomes_of_them(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/watch.js"></script>'))
    launcher(page).click()
    attach = page.get_by_role("button", name="Add a file")
    expect(attach).to_be_visible()
    chooser = page.locator("brandvoice-chat input[type=file]")
    assert "image/png" in str(chooser.get_attribute("accept"))
    name = "<img src=x onerror=alert(1)>.txt"
    words = {"name": name, "mimeType": "text/plain", "buffer": b"My order is 4711."}
    chosen = page.locator("brandvoice-chat form .files li")
    # Until it is brought it has the name of the visitor's machine, then the gateway's: both are drawn as text.
    uploads: list[Route] = []
    page.route("**/v1/widget/files?*", lambda route: uploads.append(route))
    chooser.set_input_files([words])
    expect(chosen).to_contain_text(name)
    while not uploads:
        page.wait_for_timeout(20)
    uploads.pop().continue_()
    page.unroute("**/v1/widget/files?*")
    expect(chosen).to_contain_text("1 kB")
    expect(chosen).to_contain_text("img src=x onerror=alert(1).txt")
    chooser.set_input_files([{"name": "big.txt", "mimeType": "text/plain", "buffer": b"x" * 60_000}])
    expect(page.get_by_text("big.txt is too large: a file can have 50 kB.")).to_be_visible()
    chooser.set_input_files([{"name": "fine.png", "mimeType": "image/png", "buffer": b"MZ no picture \x00"}])
    expect(page.get_by_text("fine.png: Files may be")).to_be_visible()
    expect(chosen).to_have_count(1)
    accessible(page)
    picture(page, "widget-files")

    ask(page, "Here is my letter. How long do I have to return it?")
    answered(page)
    expect(chosen).to_have_count(0)
    expect(page.get_by_text("The assistant cannot read files.")).to_be_visible()
    link = page.locator("brandvoice-chat .sent a")
    with page.expect_download() as download:
        link.click()
    assert download.value.path().read_bytes() == b"My order is 4711."
    assert page.url == f"{shop.site.url}/"

    chooser.set_input_files([words])
    expect(chosen).to_contain_text("1 kB")
    page.get_by_role("button", name="Remove").click()
    expect(chosen).to_have_count(0)
    expect(attach).to_be_focused()
    chooser.set_input_files([words])
    expect(chosen).to_contain_text("1 kB")
    page.get_by_role("button", name="Send message").click()
    expect(page.locator("brandvoice-chat .message.bot").last).to_contain_text("I can read text only")
    picture(page, "widget-files-sent")
    page.reload()
    expect(page.locator("brandvoice-chat .sent")).to_have_count(2)
    accessible(page)
    assert page.evaluate("[ran, violations]") == [[], []]


# -------------------------------------------------------------- who it is


def test_who_logs_in_finds_their_conversation_and_who_logs_out_leaves_nothing(
    page: Page, shop: Shop, browser: Browser
) -> None:
    anna = json.dumps(signed("anna-1"))
    page.goto(shop.page(before='<script src="/early.js"></script>'))
    page.evaluate(f"brandvoice('identify', {anna}); brandvoice('send', 'Where is my parcel?')")
    answered(page)
    theirs = conversation(page)
    other = browser.new_context().new_page()
    other.goto(shop.site.url)
    other.evaluate(f"brandvoice('identify', {anna}); brandvoice('open')")
    expect(other.locator("brandvoice-chat .message.user")).to_contain_text("Where is my parcel?")
    assert conversation(other) == theirs
    other.context.close()

    page.evaluate("brandvoice('close'); brandvoice('reset')")
    page.wait_for_timeout(300)
    kept = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('brandvoice:'))")
    assert kept == []
    launcher(page).click()
    expect(page.get_by_text("Online")).to_be_visible()
    expect(page.locator("brandvoice-chat .message.user")).to_have_count(0)
    assert conversation(page) != theirs


def test_the_next_person_at_a_shared_computer_finds_nothing(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/early.js"></script>'))
    page.evaluate(f"brandvoice('identify', {json.dumps(signed('anna-2'))}); brandvoice('send', 'My own business')")
    answered(page)
    theirs = conversation(page)
    page.evaluate(f"brandvoice('identify', {json.dumps(signed('bert-2'))})")
    expect(page.locator("brandvoice-chat .message.user")).to_have_count(0)
    eventually(page, f"localStorage.getItem('brandvoice:{SITE_KEY}:conversation') !== null")
    assert conversation(page) != theirs
    # Nobody logged out, and the page does not say any more who it is.
    page.evaluate(f"brandvoice('identify', {json.dumps(signed('anna-2'))})")
    expect(page.locator("brandvoice-chat .message.user")).to_contain_text("My own business")
    page.reload()
    page.locator("brandvoice-chat .launcher").click()
    expect(page.get_by_text("Online")).to_be_visible()
    expect(page.locator("brandvoice-chat .message.user")).to_have_count(0)
    assert conversation(page) != theirs


def test_an_identity_that_is_not_signed_is_told_of_and_opens_nothing(page: Page, shop: Shop) -> None:
    page.goto(shop.page(before='<script src="/early.js"></script>'))
    forged = json.dumps(signed("anna-1") | {"user_id": "bert-1"})
    page.evaluate(f"brandvoice('identify', {forged}); brandvoice('open')")
    expect(page.get_by_text("Online")).to_be_visible()
    assert [one["code"] for one in said(page, "error")] == ["bad_identity"]
    expect(page.locator("brandvoice-chat .message.user")).to_have_count(0)


def test_a_page_of_an_origin_that_is_not_listed_is_refused(page: Page, shop: Shop) -> None:
    page.goto(shop.page().replace("127.0.0.1", "localhost"))
    launcher(page).click()
    expect(page.get_by_text("This chat cannot be used on this page.")).to_be_visible()


# -------------------------------------------------------------- hostile words


def payloads() -> list[str]:
    if not PAYLOADS.is_file():
        pytest.skip("shared/data/safety beside the project is not there: the payloads do not ship with it")
    return [one["payload"] for one in json.loads(PAYLOADS.read_text("utf-8"))]


def hostile_turn(number: int, payload: str) -> dict[str, Any]:
    """A turn in which everything is the payload."""
    citation = {"number": 1, "document": payload, "title": payload, "passage": payload, "score": 0.9}
    turn = {"turn": f"t{number}", "client_ids": [], "question": payload, "state": "done", "sentences": []}
    turn |= {"text": f"{payload} [1]", "author": payload if number % 2 else None, "outcome": "answered"}
    return turn | {"citations": [citation], "feedback": None, "error": None, "at": "2026-11-26T10:00:00+00:00"}


OURS = (
    "a, b, br, button, div, form, h2, h3, i, input, label, li, ol, p, path, section, span, strong, style, svg, table, "
    "td, textarea, th, time, tr, ul"
)
SHOW = """async ([turns, ours]) => {
  const chat = document.querySelector('brandvoice-chat');
  const foreign = [];
  for (const turn of turns) {
    const word = turn.question;
    if (word.trim()) chat.say(word.trim());
    chat.turns.set(turn.turn, chat.fromSnapshot(turn));
    chat.brand = {...chat.brand, display_name: word, greeting: word, starters: [word]};
    chat.attendant = {state: 'person', owner: word};
    chat.notice = word;
    chat.render();
    chat.announcer.say(word);
    chat.sheet.open(turn.citations[0], chat.composer.input);
    await new Promise((done) => setTimeout(done, 20)); // the server's answer comes back
    for (const node of chat.shadowRoot.querySelectorAll('*')) {
      const link = node.localName === 'a' && !['http:', 'https:', 'mailto:'].includes(node.protocol);
      const handler = [...node.attributes].some(({name}) => name.startsWith('on'));
      if (link || handler || !node.matches(ours)) foreign.push(node.outerHTML.slice(0, 200));
    }
    chat.sheet.close();
    chat.turns.clear();
    chat.ownStarters = [word];
    chat.render();
  }
  return foreign;
}"""


class Played:
    """A server that has hostile words everywhere, and takes what the visitor sends."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.heard: list[str] = []

    def __call__(self, socket: WebSocketRoute) -> None:
        socket.on_message(lambda data: self._frame(socket, json.loads(str(data))))

    def _frame(self, socket: WebSocketRoute, frame: dict[str, Any]) -> None:
        if frame["type"] == "hello":
            word = self.words[0]
            brand = {"name": "velmora", "display_name": word, "greeting": word, "starters": self.words}
            brand |= {"language": "en", "theme": {"accent": word, "font": word}}
            welcome = {"type": "welcome", "visitor": "v", "conversation": "c", "brand": brand, "engine": "ready"}
            welcome |= {"with": {"state": "person", "owner": word}, "resumed": False, "turns": []}
            socket.send(json.dumps(welcome))
        elif frame["type"] == "message":
            number = len(self.heard)
            self.heard.append(frame["text"])
            turn = {"turn": f"m{number}", "client_ids": [frame["client_id"]], "question": frame["text"]}
            socket.send(json.dumps({"type": "turn", **turn}))
            citation = {"number": 1, "document": "d", "title": frame["text"], "passage": frame["text"], "score": 1}
            sentence = {"type": "sentence", "index": 0, "text": f"{frame['text']} [1]", "citations": [citation]}
            socket.send(json.dumps({**sentence, "turn": f"m{number}"}))
            failed = {"type": "failed", "turn": f"m{number}", "error": {"code": "x", "message": frame["text"]}}
            socket.send(json.dumps(failed))


def test_hostile_words_never_run_wherever_they_stand(page: Page, shop: Shop) -> None:
    words = payloads()
    played = Played(words)
    page.route_web_socket("**/ws/chat", played)
    page.goto(shop.page(before='<script src="/watch.js"></script>'))
    launcher(page).click()
    expect(page.get_by_role("button", name="Send message")).to_be_visible()
    foreign = page.evaluate(SHOW, [[hostile_turn(number, word) for number, word in enumerate(words)], OURS])
    page.wait_for_timeout(1000)
    assert foreign == []
    assert len(played.heard) == sum(bool(word.strip()) for word in words)
    assert page.evaluate("ran") == []
    assert page.evaluate("violations") == []
    assert page.url == f"{shop.site.url}/", "no link was followed"
