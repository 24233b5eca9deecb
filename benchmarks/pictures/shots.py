"""The console's pages as the docs show them: where each is, and what is done before its picture is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Page, expect

from benchmarks.pictures import acts, trainings

ASKED = "How+long+may+I+keep+an+unopened+bag%3F"
MADE = "fernhill"
"""The brand that is made of a template."""
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
"""Width and height of a window, in pixels."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
Step = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One page."""

    name: str
    title: str
    """What one sees, for the docs."""
    path: str
    then: Step | None = None
    """What is done before the picture is taken."""
    signed_in: bool = True
    trained: bool = False
    """Whether it shows what came of a training; none has taken place before the others are taken."""

    def file(self, size: str, theme: str) -> str:
        """The name of a picture."""
        return f"{self.name}-{size}-{theme}.png"


def ask_the_bench(page: Page) -> None:
    """Two voices on one question."""
    page.get_by_label("Question", exact=True).fill(acts.QUESTION)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answers article")).to_have_count(2)
    expect(page.locator(".answers [aria-busy]")).to_have_count(0)


def wrong_fact(page: Page) -> None:
    """The page of an answer's correction, with what changes."""
    follow('main a[href*="/corrections/new/"]')(page)
    page.get_by_role("link", name="A fact is wrong").click()
    page.get_by_label("The page that says it wrong").select_option("returns.md")
    page.get_by_role("button", name="Take this page").click()
    text = page.get_by_label("What returns.md shall say")
    text.fill(text.input_value().replace("30 days", "45 days"))
    page.get_by_role("button", name="Show what changes").click()
    expect(page.locator("ins").first).to_be_visible()


def follow(selector: str) -> Step:
    """Open what the first such link leads to."""

    def step(page: Page) -> None:
        page.goto(str(page.locator(selector).first.evaluate("link => link.href")))

    return step


def tab_of_made_brand(name: str) -> Step:
    """Another page of the brand that `made_brand` makes."""

    def step(page: Page) -> None:
        made_brand(page)
        page.goto(f"{page.url.partition('?')[0]}/{name}")

    return step


def made_brand(page: Page) -> None:
    """A brand made of a template, by the first who comes."""
    list_ = page.url
    there = page.goto(f"{list_}/{MADE}")
    if there is not None and there.status == 404:
        page.goto(f"{list_}/new?kind=shop")
        page.get_by_label("Company", exact=True).fill("Fernhill")
        page.get_by_label("What you sell").fill("garden tools and seeds")
        page.get_by_role("button", name="Make the brand").click()
    page.get_by_text("It answers from").wait_for()
    page.locator("#stage .message.bot").first.wait_for()


SHOTS = (
    Shot("set-up", "The first start: the one-time link makes the first admin", "/console/set-up", signed_in=False),
    Shot("sign-in", "Signing in", "/console/sign-in", signed_in=False),
    Shot("inbox", "The inbox: conversations of all channels", "/console/inbox?brand=velmora"),
    Shot("unanswered", "Questions that were refused, in groups", "/console/inbox/unanswered?brand=velmora"),
    Shot("canned", "Replies that the team keeps", f"/console/inbox/canned?brand={acts.BRAND}"),
    Shot(
        "conversation",
        "An open conversation",
        f"/console/inbox?brand={acts.BRAND}&show=all",
        follow("#rows a.conversation"),
    ),
    Shot(
        "bench",
        "Two voices on one question, from the same passages",
        f"/console/bench?brand={acts.BRAND}",
        ask_the_bench,
    ),
    Shot(
        "inspector",
        "Why an answer is what it is",
        f"/console/inspector?brand={acts.BRAND}",
        follow('main a[href^="/console/turns/"]'),
    ),
    Shot("turns", "The latest answers", f"/console/inspector?brand={acts.BRAND}"),
    Shot("corrections", "Corrections, and answers that may need one", f"/console/corrections?brand={acts.BRAND}"),
    Shot(
        "correct",
        "A wrong fact: what the page shall say, seen as a difference",
        f"/console/corrections?brand={acts.BRAND}",
        wrong_fact,
    ),
    Shot(
        "correction",
        "A correction, and where it came from",
        f"/console/corrections?brand={acts.BRAND}",
        follow('main tbody th a[href*="/corrections/"]'),
    ),
    Shot("review", "The queue of corrections, worked through by keys", f"/console/corrections/review/{acts.BRAND}"),
    Shot(
        "training",
        "Versions of the voice, recipes and trainings",
        f"/console/training?brand={acts.BRAND}",
        trained=True,
    ),
    Shot(
        "gate",
        "After a training: its losses, the gate's report, and the answers that changed",
        f"/console/training?brand={acts.BRAND}",
        follow('main a[href*="/training/jobs/"]'),
        trained=True,
    ),
    Shot(
        "release-notes",
        "Release notes of a version",
        f"/console/training/brands/{acts.BRAND}/versions/{trainings.AFTER}",
        trained=True,
    ),
    Shot(
        "plan",
        "Before a training: the data doctor and the command",
        f"/console/training/brands/{acts.BRAND}/plan?recipe=quick_cpu&corrections=true&gate=true",
    ),
    Shot(
        "questions", "Held-out questions, and what customers asked", f"/console/training/brands/{acts.BRAND}/questions"
    ),
    Shot("knowledge", "What a brand's knowledge holds", "/console/knowledge?brand=velmora"),
    Shot(
        "knowledge-document",
        "A page, and the passages that are made of it",
        "/console/knowledge/velmora/document?document=returns.md",
    ),
    Shot("knowledge-search", "What a question finds, and why", f"/console/knowledge/velmora/search?question={ASKED}"),
    Shot("knowledge-versions", "Versions of the knowledge", "/console/knowledge/velmora/versions"),
    Shot(
        "knowledge-version",
        "What a version changed",
        "/console/knowledge/velmora/versions",
        follow('main th a[href*="/versions/"]'),
    ),
    Shot(
        "knowledge-intake",
        "What became of files that were brought",
        f"/console/knowledge?brand={acts.BRAND}",
        follow('main a[href*="/jobs/"]'),
    ),
    Shot("overview", "The overview", "/console/overview"),
    Shot("brands", "All brands", "/console/brands"),
    Shot("new-brand", "A new brand, from a template", "/console/brands/new?kind=bank"),
    Shot("brand", "A brand's settings, and its widget", "/console/brands", made_brand),
    Shot("voice-guide", "The voice guide", "/console/brands", tab_of_made_brand("voice")),
    Shot(
        "examples", "Conversations that a voice is learnt from", "/console/brands", tab_of_made_brand("conversations")
    ),
    Shot("whole-file", "The whole file of a brand", "/console/brands", tab_of_made_brand("file")),
    Shot("people", "People and their roles", "/console/people"),
    Shot("person", "One person", "/console/people", follow("tbody th a")),
    Shot("changes", "Who changed what", "/console/changes"),
    Shot("account", "One's own account", "/console/account"),
)
