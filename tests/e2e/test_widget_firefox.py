"""The widget's main story in Firefox."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.bidi import ENTER, ESCAPE, firefox
from tests.e2e.shop_page import SITE_KEY, chatting, policy, site

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(FIREFOX is None, reason="no firefox here; try: apt-get install firefox-esr"),
]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<script src="/watch.js"></script>
<script src="{gateway}/widget.js" data-site="{key}" async></script></head><body><h1>Shop</h1></body></html>"""
WATCH = """
window.told = []; window.violations = [];
addEventListener('error', (event) => told.push('error ' + event.message));
addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));
window.brandvoice = function () { (brandvoice.q = brandvoice.q || []).push(arguments); };
for (const event of ['ready', 'message']) brandvoice('on', event, () => told.push(event));
"""
CHAT = "document.querySelector('brandvoice-chat')"
ROOT = f"{CHAT}?.shadowRoot"


async def test_a_visitor_asks_in_firefox_finds_it_again_and_closes(tmp_path: Path) -> None:
    assert FIREFOX is not None
    (tmp_path / "home").mkdir()
    (tmp_path / "profile").mkdir()
    with site({"/watch.js": WATCH}) as shop, chatting(tmp_path / "home", [shop.url]) as gateway:
        shop.policy = policy(gateway)
        shop.pages["/"] = PAGE.format(gateway=gateway, key=SITE_KEY)
        async with firefox(FIREFOX, tmp_path / "profile") as page:
            await page.open(shop.url)
            place = await page.until(f"{ROOT}?.querySelector('.launcher')?.getBoundingClientRect()")
            await page.click(place["x"] + 30, place["y"] + 30)
            await page.until(f"{ROOT}.activeElement?.id === 'input'")
            await page.until(f"{ROOT}.querySelector('.presence').textContent === 'Online'")
            await page.type("How long do I have to return an unopened item?" + ENTER)
            await page.until(f"{ROOT}.querySelectorAll('[aria-label=Helpful]').length === 1")
            said = await page.evaluate(f"{ROOT}.querySelector('.turns .bot').textContent")
            assert "30 days" in said
            heard = await page.evaluate(f"{ROOT}.querySelector('[role=log]').textContent")
            assert "Maison Velmora said:" in heard
            assert await page.evaluate("[told, violations]") == [["ready", "message"], []]
            dark = await page.evaluate(
                f"({CHAT}.setAttribute('theme', 'dark'),"
                f" getComputedStyle({ROOT}.querySelector('.panel')).backgroundColor)"
            )
            assert dark == "rgb(24, 25, 28)"
            await page.open(shop.url)
            await page.until(f"{ROOT}?.querySelectorAll('[aria-label=Helpful]').length === 1")
            assert await page.evaluate(f"{ROOT}.querySelector('.turns .bot').textContent") == said
            await page.evaluate("brandvoice('open')")
            await page.type(ESCAPE)
            await page.until(f"{ROOT}.activeElement?.className === 'launcher'")
