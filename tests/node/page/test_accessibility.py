"""Every page of the node by the rules of axe-core, in light and dark."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest

from node.operations import accounts
from node.page.visitors import COOKIE
from storage.accounts import AccountRole

from ...parts.axe import grave_findings, require_axe
from ..results.conftest import STUDY_UID


def findings(tab, address: str) -> list[str]:
    """Of a page in both schemes; what differs between them are colours."""
    tab.emulate_media(color_scheme="light")
    tab.goto(address)
    tab.wait_for_load_state("networkidle")
    light = grave_findings(tab)
    tab.emulate_media(color_scheme="dark")
    return light + grave_findings(tab, "color-contrast")


def linked(tab) -> set[str]:
    """The paths of this page's links that lead to pages."""
    links = tab.locator("a[href]:not([download])").evaluate_all("them => them.map(it => it.getAttribute('href'))")
    paths = {urlsplit(urljoin(tab.url, it)) for it in links}
    return {it.path for it in paths if it.netloc == urlsplit(tab.url).netloc}


@pytest.fixture(autouse=True)
def axe():
    require_axe()


def test_every_page_that_links_lead_to(page, olga, tab):
    page.house.index.keep_quarantine(page.house.files.quarantine(b"x", "broken"), "broken", "AE", page.house.at(0))
    tab.context.add_cookies([{"name": COOKIE, "value": olga.session.cookies[COOKIE], "url": page.url}])
    seen, ahead, found = set(), ["/"], []
    while ahead:
        path = ahead.pop()
        seen.add(path)
        found += findings(tab, page.url + path)
        ahead += sorted(linked(tab) - seen - set(ahead))
    assert {"/", "/quarantine", f"/studies/{STUDY_UID}"} <= seen
    assert found == []


def test_the_pages_before_one_is_signed_in(page, tab):
    link = accounts.add(page.house.engine, "amelie", AccountRole.VIEWER)
    found = [findings(tab, page.url + path) for path in ("/sign-in", link.path)]
    assert found == [[], []]


def test_what_hinders_is_found(page, tab):
    tab.goto(f"{page.url}/sign-in")
    tab.evaluate("document.querySelector('label').replaceWith(document.querySelector('label input'))")
    (found,) = grave_findings(tab)
    assert "label" in found
