"""Knowledge at a real gateway: documents in, read, edited, removed, brought back, tried, and versions rolled back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from configs.home import Home
from retrieval.documents.fetching import Fetcher
from retrieval.knowledge import store
from retrieval.testing import PAGES, HashEncoder, write_pages
from service.console.person import Role
from service.console.words import words
from service.intake import rows, work
from service.intake.terms import Job
from service.intake.work import Stopped
from service.storage.database import now
from tests.patience import PATIENCE_S
from tests.unit.service.console.seats import Browser, seat
from tests.unit.service.doors import KEY, Door

BRAND = "velmora"
API = f"/v1/brands/{BRAND}/knowledge"
HERE = f"/console/knowledge/{BRAND}"
GIFTS = "# Gift wrapping\n\n## What it costs\n\nGift wrapping costs four dollars. A card with your words is free.\n"
HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(1)>"


@pytest.fixture
def knowledge(home: Home, tmp_path: Path) -> str:
    return store.add(home.knowledge, BRAND, write_pages(tmp_path / "pages"), HashEncoder()).version


@pytest.fixture
def editor(knowledge: str, door: Door) -> Browser:
    return seat(door, {BRAND: Role.EDITOR}, "cleo@example.com")


def bring(one: Browser, *files: tuple[str, bytes], path: str = f"{API}/files") -> Any:
    """Files as a form."""
    return one.send(path, files=[("files", (name, content)) for name, content in files])


def over(one: Browser, job: str) -> dict[str, Any]:
    """A job once it is over."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := one.get(f"{API}/jobs/{job}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return dict(found)


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms; of two of one name the last."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def test_files_are_taken_in_and_each_that_is_refused_is_named_with_its_reason(editor: Browser, door: Door) -> None:
    files = [
        ("gifts.md", GIFTS.encode()), ("returns.md", b"# Returns\n\nAn unopened item: 45 days."),
        ("shipping.md", PAGES["shipping.md"].encode()), ("folder/faq.html", b"<h1>Faq</h1><p>Shoes fit.</p>"),
        ("photo.png", b"\x89PNG\r\n"), ("empty.txt", b" "), (".secret.md", b"# No"), ("gifts.md", b"# Twice"),
    ]  # fmt: skip
    begun = bring(editor, *files)
    assert begun.status_code == 202, begun.text
    done = over(editor, begun.json()["id"])
    assert {one["name"]: one["outcome"] for one in done["results"] if one["outcome"] != "refused"} == {
        "gifts.md": "added", "faq.html": "added", "returns.md": "changed", "shipping.md": "unchanged",
    }  # fmt: skip
    refused = {one["name"]: one["reason"] for one in done["results"] if one["outcome"] == "refused"}
    assert refused.keys() == {"photo.png", "empty.txt", ".secret.md", "gifts.md"}
    assert refused["photo.png"].startswith("not one of .csv")
    assert (refused["empty.txt"], "another file of this name" in refused["gifts.md"]) == ("empty", True)
    (line,) = editor.get(f"{API}/documents?words=gift").json()["documents"]
    assert (line["title"], line["origin"], line["by"]) == ("Gift wrapping", "brought", "Cleo")
    state = editor.get(API).json()
    assert (state["version"], state["documents"], state["by"]) == (done["version"], 5, "Cleo")
    assert state["searched"] == state["version"], "this gateway searches it already"
    assert not list(door.gateway.home.uploads.glob("*")), "the files are not kept"
    (change,) = editor.get(f"/v1/audit?action=knowledge&brand={BRAND}").json()["changes"]
    assert (change["action"], change["by"], change["detail"]["added"]) == ("knowledge.uploaded", "Cleo", 2)


def test_a_page_shows_a_job_and_what_became_of_each_file(editor: Browser) -> None:
    sent = bring(editor, ("gifts.md", GIFTS.encode()), ("photo.png", b"\x89PNG"), path=f"{HERE}/files")
    assert sent.status_code == 303, sent.text
    where = sent.headers["location"]
    assert editor.get(where).status_code == 200
    over(editor, where.rpartition("/")[2])
    page = editor.get(where).text
    assert "gifts.md" in page
    assert "not one of .csv" in page
    part = editor.get(f"{where}/part", headers={"HX-Request": "true"})
    assert part.headers["HX-Redirect"] == where
    assert where in editor.get(f"/console/knowledge?brand={BRAND}").text


def test_a_form_without_files_says_so_and_keeps_the_page(editor: Browser) -> None:
    answer = editor.send(f"{HERE}/files", files=[("files", ("", b""))])
    assert answer.status_code == 400
    assert "Choose at least one file." in answer.text
    assert "returns.md" in answer.text


def test_a_page_is_written_here_and_no_other_of_its_name_is_overwritten(editor: Browser) -> None:
    sent = editor.send(f"{HERE}/pages", data={"title": " Gift  wrapping ", "text": "It costs four dollars."})
    assert sent.status_code == 303, sent.text
    done = over(editor, sent.headers["location"].rpartition("/")[2])
    assert [(one["name"], one["outcome"]) for one in done["results"]] == [("gift-wrapping.md", "added")]
    text = editor.get(f"{API}/document?document=gift-wrapping.md").json()["text"]
    assert text == "# Gift wrapping\n\nIt costs four dollars.\n"
    again = editor.send(f"{HERE}/pages", data={"title": "Gift wrapping", "text": "It is free."})
    assert again.status_code == 400
    assert "It is free." in again.text, "what was typed stands there again"
    assert editor.send(f"{API}/pages", json={"title": "Gift Wrapping", "text": "It is free."}).status_code == 409
    assert editor.send(f"{API}/pages", json={"title": "..", "text": "It is free."}).status_code == 400


def test_what_is_too_large_is_refused_before_it_is_read(editor: Browser) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x", "content-length": "900000000"}
    answer = editor.send(f"{API}/files", content=b"", headers=headers)
    assert answer.status_code == 400
    assert "210 MB" in answer.text


@pytest.fixture
def site() -> Iterator[str]:
    """A shop's site with a sitemap, of which one page is missing and one forbidden."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            base = f"http://127.0.0.1:{self.server.server_address[1]}"
            pages = {
                "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /secret"),
                "/sitemap.xml": ("application/xml", '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
                                 + "".join(f"<url><loc>{base}/{one}</loc></url>" for one in ("a", "gone", "secret"))
                                 + "</urlset>"),
                "/a": ("text/html", "<h1>Gift wrapping</h1><p>Gift wrapping costs four dollars.</p>"),
            }  # fmt: skip
            kind, text = pages.get(self.path, ("", ""))
            self.send_response(200 if text else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_sitemap_is_fetched_and_each_page_says_what_became_of_it(editor: Browser, door: Door, site: str) -> None:
    door.gateway.intakes.fetcher = lambda: Fetcher(max_bytes=100_000, seconds=5, loopback=True)
    sent = editor.send(f"{HERE}/crawl", data={"address": f" {site}/sitemap.xml "})
    done = over(editor, sent.headers["location"].rpartition("/")[2])
    assert done["state"] == "done", done
    told = {one["name"].rpartition("/")[2]: (one["outcome"], one["reason"]) for one in done["results"]}
    assert told == {
        "a": ("added", ""),
        "gone": ("refused", "the server answered 404"),
        "secret": ("refused", "robots.txt of the site forbids it"),
    }
    (line,) = [one for one in editor.get(f"{API}/documents").json()["documents"] if one["origin"] == "web"]
    assert (line["address"], line["by"]) == (f"{site}/sitemap.xml", "Cleo")


def test_an_address_of_this_machine_is_refused_as_on_the_command_line(editor: Browser, site: str) -> None:
    done = over(editor, editor.send(f"{API}/crawl", json={"address": f"{site}/a"}).json()["id"])
    assert done["state"] == "failed"
    assert "port" in done["error"]
    answer = editor.send(f"{HERE}/crawl", data={"address": "ftp://shop.example"})
    assert answer.status_code == 400
    assert "ftp://shop.example" in answer.text, "what was typed stands there again"


def test_a_job_that_is_stopped_changes_nothing(
    editor: Browser, door: Door, knowledge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(run: work.Run, *_: object) -> Any:
        run.reading("slow.pdf")
        assert run.stop.wait(PATIENCE_S)
        raise Stopped

    monkeypatch.setattr("service.intake.desk.take_in", slow)
    job = bring(editor, ("slow.pdf", b"%PDF-")).json()["id"]
    waits = bring(editor, ("next.md", GIFTS.encode())).json()["id"]
    page = editor.get(f"{HERE}/jobs/{job}").text
    assert 'hx-trigger="every 1s"' in page
    assert editor.send(f"{HERE}/jobs/{waits}/stop").status_code == 303
    assert editor.send(f"{API}/jobs/{job}/stop").status_code == 200
    for one in (job, waits):
        assert (over(editor, one)["state"], editor.get(API).json()["version"]) == ("stopped", knowledge)
    assert editor.send(f"{API}/jobs/{job}/stop").status_code == 409


def test_a_job_whose_gateway_ended_is_interrupted(editor: Browser, door: Door) -> None:
    left = Job(
        "left", BRAND, "crawl", "https://shop.example/", "running", "reading", 3, None, "", (), None, None, False,
        "another", "Cleo", now(), None,
    )  # fmt: skip
    portal = door.client.portal
    assert portal is not None
    portal.call(door.gateway.db.write, lambda connection: rows.begin(connection, left))
    assert "begin again" in editor.get(f"{HERE}/jobs/left").text
    assert editor.get(f"{API}/jobs/left").json()["state"] == "interrupted"


def test_a_document_shows_its_passages_as_search_has_them(editor: Browser) -> None:
    one = editor.get(f"{API}/document?document=returns.md").json()
    assert [part["heading"] for part in one["cut"]] == ["Returns > Return period", "Returns > Opened items"]
    assert one["cut"][0]["text"].startswith("An unopened item")
    page = editor.get(f"{HERE}/document?document=returns.md").text
    assert "Returns &gt; Opened items" in page
    assert editor.get(f"{API}/document?document=none.md").status_code == 404
    assert editor.get(f"{HERE}/document?document=none.md").status_code == 404


def test_an_edit_is_shown_line_by_line_before_it_is_kept_and_search_then_finds_it(editor: Browser, door: Door) -> None:
    given = hidden(editor.get(f"{HERE}/document?document=returns.md").text)
    given = {name: given[name] for name in ("document", "sha256")}
    given["text"] = PAGES["returns.md"].replace("30 days", "fortyfive days").replace("\n", "\r\n")
    looked = editor.send(f"{HERE}/review", data=given)
    assert looked.text.count("<ins>") == looked.text.count("<del>") == 1
    assert "Keep it" in looked.text
    assert "30 days" in door.gateway.knowledge[BRAND].text("returns.md"), "nothing is kept by looking"
    kept = editor.send(f"{HERE}/edit", data=given)
    assert kept.status_code == 303, kept.text
    found = editor.get(f"{API}/search?question=unopened item fortyfive days").json()
    assert "fortyfive days" in found["candidates"][0]["text"]
    assert found["candidates"][0]["scores"].keys() >= {"dense", "lexical", "fused", "late"}
    one = editor.get(f"{API}/document?document=returns.md").json()
    assert (one["by"], len(one["earlier"])) == ("Cleo", 1)
    late = editor.send(f"{HERE}/edit", data=given | {"text": "# Returns\n\nNever."})
    assert late.status_code == 409, "somebody else was first"
    assert "Never." in late.text
    assert "fortyfive" in editor.get(f"{API}/document?document=returns.md").json()["text"]


def test_a_deleted_document_is_brought_back(editor: Browser) -> None:
    assert editor.send(f"{HERE}/remove", data={"document": "returns.md"}).status_code == 303
    assert "returns.md" not in [one["document"] for one in editor.get(f"{API}/documents").json()["documents"]]
    (gone,) = editor.get(f"{API}/removed").json()["documents"]
    assert "1 deleted document can be brought back" in editor.get(f"/console/knowledge?brand={BRAND}").text
    back = editor.send(f"{HERE}/restore", data={"document": gone["document"], "version": gone["version"]})
    assert back.status_code == 303
    assert editor.get(f"{API}/removed").json()["documents"] == []
    assert "30 days" in editor.get(f"{API}/document?document=returns.md").json()["text"]
    actions = [one["action"] for one in editor.get(f"/v1/audit?action=knowledge&brand={BRAND}").json()["changes"]]
    assert actions == ["knowledge.restored", "knowledge.removed"]


def test_versions_are_compared_and_rolled_back_unless_somebody_was_first(editor: Browser, knowledge: str) -> None:
    text = PAGES["returns.md"].replace("30 days", "45 days")
    sha256 = editor.get(f"{API}/document?document=returns.md").json()["sha256"]
    edited = editor.send(f"{API}/document?document=returns.md", "PUT", json={"text": text, "sha256": sha256}).json()[
        "version"
    ]
    editor.send(f"{API}/remove", json={"documents": ["contact.md"]})
    versions = editor.get(f"{API}/versions").json()["versions"]
    assert [(one["changed"], one["removed"]) for one in versions[:2]] == [([], ["contact.md"]), (["returns.md"], [])]
    assert [one["by"] for one in versions] == ["Cleo", "Cleo", ""]
    apart = editor.get(f"{API}/versions/{knowledge}").json()
    assert (apart["added"], apart["changed"]) == (["contact.md"], ["returns.md"])
    lines = editor.get(f"{API}/versions/{knowledge}/difference?document=returns.md").json()["lines"]
    assert [one["sign"] for one in lines if one["sign"] in "+-"] == ["-", "+"]
    page = editor.get(f"{HERE}/versions/{knowledge}").text
    assert "45 days" in page
    serving = editor.get(f"{HERE}/versions/{versions[0]['version']}").text
    assert re.search(r"Not in this version.*contact\.md", serving, re.DOTALL), "what serves is shown by what it changed"
    late = editor.send(f"{HERE}/versions/{knowledge}/rollback", data={"expected": edited})
    assert late.status_code == 409, "another version serves than the one that was looked at"
    expected = hidden(editor.get(f"{HERE}/versions").text)["expected"]
    done = editor.send(f"{HERE}/versions/{knowledge}/rollback", data={"expected": expected})
    assert done.status_code == 303, done.text
    assert editor.get(API).json()["searched"] == knowledge
    assert editor.get(f"{API}/versions/abcdefabcdef").status_code == 404
    assert editor.get(f"{HERE}/versions/..%2f..").status_code == 404


def test_two_changes_at_once_lose_nothing_of_each_other(editor: Browser) -> None:
    jobs = [bring(editor, (f"page{n}.md", f"# Page {n}\n\nWord{n}.".encode())).json()["id"] for n in range(3)]
    editor.send(f"{API}/remove", json={"documents": ["contact.md"]})
    assert {over(editor, job)["state"] for job in jobs} == {"done"}
    held = {one["document"] for one in editor.get(f"{API}/documents").json()["documents"]}
    assert held == {"returns.md", "shipping.md", "page0.md", "page1.md", "page2.md"}


def test_a_question_is_tried_and_an_expected_page_explained(editor: Browser) -> None:
    page = editor.get(f"{HERE}/search?question=return an unopened item&expected=contact.md").text
    assert "An unopened item can be returned" in page
    assert "Lost at" in page
    why = editor.get(f"{API}/why?question=return an unopened item&document=returns.md").json()
    assert why["findings"]
    assert editor.get(f"{API}/search?question=").status_code == 400
    assert editor.get(f"{HERE}/search").status_code == 200


@pytest.mark.usefixtures("knowledge")
def test_an_agent_looks_and_changes_nothing(door: Door) -> None:
    agent = seat(door, {BRAND: Role.AGENT}, "ben@example.com")
    page = agent.get(f"/console/knowledge?brand={BRAND}").text
    assert "returns.md" in page
    assert "Bring files" not in page
    for path in ("document?document=returns.md", "search?question=returns", "versions"):
        shown = agent.get(f"{HERE}/{path}")
        assert shown.status_code == 200
        assert 'method="post" action="/console/knowledge' not in shown.text, path
    assert bring(agent, ("gifts.md", GIFTS.encode())).status_code == 403
    assert agent.send(f"{HERE}/remove", data={"document": "returns.md"}).status_code == 403


@pytest.mark.usefixtures("knowledge")
def test_a_program_says_for_whom_it_acts(locked: Door) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    files = [("files", ("gifts.md", GIFTS.encode()))]
    assert locked.client.post(f"{API}/files", headers=headers, files=files).status_code == 400
    done = locked.client.post(f"{API}/files", headers=headers, files=files, data={"by": "Sync"})
    assert done.status_code == 202, done.text
    assert done.json()["started_by"] == "Sync"


def test_what_documents_say_and_are_called_is_text_and_nothing_else(editor: Browser) -> None:
    # A form says quotation marks so.
    name = f"{HOSTILE.rpartition('/')[2]}.md".replace('"', "%22")
    begun = bring(editor, (f"{HOSTILE}.md", f"# Lamp {HOSTILE}\n\n## {HOSTILE}\n\n{HOSTILE}".encode()), (HOSTILE, b"x"))
    job = over(editor, begun.json()["id"])
    assert name in [one["name"] for one in job["results"]]
    paths = [
        f"/console/knowledge?brand={BRAND}", f"{HERE}/jobs/{job['id']}", f"{HERE}/search?question=lamp {HOSTILE}",
        f"{HERE}/versions", f"{HERE}/versions/{editor.get(f'{API}/versions').json()['versions'][1]['version']}",
    ]  # fmt: skip
    pages = [editor.get(path).text for path in paths]
    document = editor.client.get(f"{HERE}/document", params={"document": name}).text
    given = {"document": name, "sha256": hidden(document)["sha256"], "text": HOSTILE}
    pages += [document, editor.send(f"{HERE}/review", data=given).text]
    for page in pages:
        assert "onerror=alert(1)" in unescape(page)
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_the_pages_speak_indonesian(editor: Browser) -> None:
    assert editor.send("/v1/me", "PATCH", json={"language": "id"}).status_code == 204
    page = editor.get(f"/console/knowledge?brand={BRAND}").text
    assert words("id").gettext("Bring files") in page
    assert "Bring files" not in page
    where = bring(editor, ("photo.png", b"\x89PNG"), path=f"{HERE}/files").headers["location"]
    over(editor, where.rpartition("/")[2])
    assert "bukan salah satu dari .csv" in editor.get(where).text
