"""The report as a person opens it: one file, in a headless Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.storage.open import open_store
from tests.browser.chromium import NEEDED, Page
from tests.builders import make_spec, run_scripted

pytestmark = NEEDED


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of one run, and of two side by side."""
    place = tmp_path_factory.mktemp("reports")
    for name, seed in (("one", 1), ("other", 2)):
        spec = make_spec(trees=4, fanouts=(4, 2, 1), generation={"seed": seed})
        run_scripted(open_store(str(place / name)), spec)
    assert main(["report", str(place / "one"), "--out", str(place / "a"), "--open=false"]) == 0
    both = ["report", str(place / "one"), str(place / "other")]
    assert main([*both, "--out", str(place / "b"), "--open=false"]) == 0
    return {"one": place / "a" / "report.html", "two": place / "b" / "report.html"}


@pytest.fixture(params=["one", "two"])
def page(tab: Page, files: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Page]:
    """On a desk; the page asks for nothing but itself."""
    address = files[request.param].as_uri()
    tab.size(1200, 900)
    tab.prefer("light")
    tab.requested.clear()
    tab.complaints.clear()
    tab.call("Page.navigate", url=address)
    tab.wait("document.readyState === 'complete' && location.protocol === 'file:'")
    yield tab
    assert tab.complaints == []
    assert set(tab.requested) == {address}
    tab.call("Page.navigate", url="about:blank")


def test_report_shows_sections_that_its_links_lead_to(page):
    missing = page.run(
        "[...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))"
        ".filter(name => !document.querySelector(name))"
    )
    assert missing == [] and page.count("nav a") > 5
    assert page.count("figure svg") > 5 and page.count(".said") > 0


def test_report_follows_the_systems_colours(page):
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ink), page.run(paper)
    page.prefer("dark")
    dark = page.run(ink), page.run(paper)
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_report_needs_no_sideways_scrolling_on_a_phone(page):
    page.size(360, 740, phone=True)
    assert page.run("document.documentElement.scrollWidth") <= 360


def test_report_fits_a_desk(page):
    assert page.run("document.documentElement.scrollWidth") <= 1200
