"""The panes of the viewer in a browser, where answers come late or not at all."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect, sync_playwright

from ...parts.chromium import OPTIONS
from ..results.conftest import STUDY_UID

T2WI = f"{STUDY_UID}.5"


@pytest.fixture
def tab(chromium, olga):
    """A tab of an operator, in which no script may fail."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        context = browser.new_context()
        context.add_cookies([{"name": it.name, "value": it.value, "url": olga.url} for it in olga.session.cookies])
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        faults: list[str] = []
        tab.on("pageerror", lambda error: faults.append(str(error)))
        yield tab
        browser.close()
        assert faults == []


@pytest.fixture
def refined(t2wi):
    """The refined series."""
    return t2wi.first("super-resolved-t2wi").series_instance_uid


@pytest.fixture
def slices(olga, refined):
    """How many slices the acquired and the refined series have as they were acquired."""
    found = [olga.get(f"/studies/{STUDY_UID}/series/{uid}/volumes").json() for uid in (T2WI, refined)]
    return [it["volumes"][0]["planes"][0]["slices"] for it in found]


def left(tab, selector):
    return tab.locator(f"[data-pane=left] {selector}")


def test_a_late_answer_of_a_series_does_not_come_under_the_pictures_of_another(tab, olga, refined, slices):
    held = []
    tab.route(f"**/series/{T2WI}/volumes", lambda route: held.append(route))
    tab.goto(f"{olga.url}/studies/{STUDY_UID}")
    left(tab, ".series").select_option(refined)
    expect(left(tab, "figcaption")).to_contain_text(f"of {slices[1]} at")
    with tab.expect_response(f"**/series/{T2WI}/volumes"):
        held[0].continue_()
    tab.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert left(tab, ".series").input_value() == refined
    assert f"of {slices[1]} at" in left(tab, "figcaption").text_content()
    assert f"/series/{refined}/" in left(tab, "image").get_attribute("href")


def test_a_plane_that_is_chosen_before_the_series_has_come_is_that_of_the_series(tab, olga):
    held = []
    tab.route(f"**/series/{T2WI}/volumes", lambda route: held.append(route))
    tab.goto(f"{olga.url}/studies/{STUDY_UID}")
    tab.get_by_label("Plane").select_option("sagittal")
    held[0].continue_()
    expect(left(tab, ".at-left")).to_have_text("A")
    expect(left(tab, "image")).to_have_attribute("href", re.compile("/sagittal/"))


def test_where_presets_fail_nothing_is_shown_under_the_new_name_and_they_are_asked_for_again(tab, olga, refined):
    path = f"**/series/{refined}/volumes/0/presets"
    tab.route(path, lambda route: route.fulfill(status=500))
    tab.goto(f"{olga.url}/studies/{STUDY_UID}")
    expect(left(tab, "image[href]")).to_have_count(1)
    left(tab, ".series").select_option(refined)
    expect(left(tab, "figcaption")).to_have_text("no such picture")
    expect(left(tab, "image[href]")).to_have_count(0)
    tab.unroute(path)
    for series in (T2WI, refined):
        left(tab, ".series").select_option(series)
        expect(left(tab, "image")).to_have_attribute("href", re.compile(f"/series/{re.escape(series)}/"))
