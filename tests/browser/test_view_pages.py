"""The pages as a person uses them: clicked through in a headless Chromium."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import create_run
from pipeline.view.run import ViewedRun
from pipeline.view.server import ViewServer
from tests.browser.chromium import NEEDED, Page
from tests.unit.view.viewed import GENERATION, ask, grown, tree_rows, view_of

pytestmark = NEEDED


@contextmanager
def served(viewed: ViewedRun) -> Iterator[ViewServer]:
    with ViewServer(viewed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def viewed() -> ViewedRun:
    return grown(open_store(f"memory://{uuid.uuid4().hex}"))


@pytest.fixture(scope="module")
def server(viewed: ViewedRun) -> Iterator[ViewServer]:
    with served(viewed) as server:
        yield server


@pytest.fixture
def page(tab: Page, server: ViewServer) -> Iterator[Page]:
    """The forest, on a desk; whatever a test does, no script fails and nobody else is asked."""
    tab.size(1200, 900)
    tab.prefer("light")
    tab.requested.clear()
    tab.complaints.clear()
    tab.visit(server.address)
    yield tab
    assert tab.complaints == []
    assert [url for url in tab.requested if not url.startswith(server.address)] == []
    tab.call("Page.navigate", url="about:blank")


def test_forest_shows_counts_that_add_up(page, viewed):
    counts = viewed.index().counts
    assert f"{counts.kept}\nturns kept" in page.text("#tiles")
    assert f"{counts.num_dropped}\ndropped while growing" in page.text("#tiles")
    assert page.count("#trees tr") == 2


def test_forest_orders_trees_by_what_is_chosen(page, viewed):
    kept = {row[0]: row[1] for line in ask(viewed, "trees") for row in line.get("trees", [])}
    largest = max(kept, key=kept.__getitem__)
    page.run(
        "const o = document.querySelector('#order'); o.value = 'largest first';"
        "o.dispatchEvent(new Event('change')); 0"
    )
    assert page.text("#trees tr").startswith(f"tree {largest}")


def test_keys_lead_from_forest_to_node_and_back_up(page):
    page.press("j")
    page.press("Enter")
    page.drawn("tree")
    page.press("j")
    page.press("j")
    page.press("Enter")
    page.drawn("node")
    assert "Forest / tree 0" in page.text()
    page.press("c")
    page.drawn("chat")
    page.press("u")
    page.drawn("node")
    page.press("u")
    page.drawn("tree")
    page.press("u")
    page.drawn("forest")


def test_tree_folds_and_unfolds_by_keys(page, viewed):
    page.go("#/tree/0/0", "tree")
    whole = page.count(".branch")
    assert whole == len(tree_rows(viewed))
    page.press("j")
    page.press("ArrowLeft")
    assert page.count(".branch") == 1
    page.press("ArrowRight")
    assert page.count(".branch") == whole


def test_tree_without_dropped_turns_shows_kept_ones_only(page, viewed):
    page.go("#/tree/0/0", "tree")
    page.click("#fallen")
    kept = [row for row in tree_rows(viewed) if not row["drop_reason"]]
    page.wait(f"document.querySelectorAll('.branch').length === {len(kept)}")
    assert page.count(".branch.fell") == 0


def test_radial_picture_has_a_dot_a_row_that_opens_it(page, viewed):
    page.go("#/tree/0/0/radial", "tree")
    assert page.count("svg.radial circle") == len(tree_rows(viewed))
    page.click("svg.radial circle:last-of-type")
    page.drawn("node")


def test_node_shows_prompt_tokens_and_scores(page, viewed):
    row = next(row for row in tree_rows(viewed) if len(row["path"]) == 2 and not row["drop_reason"])
    page.go(f"#/node/{row['wave']}/{row['node_id']}", "node")
    assert "proven by its hash" in page.text("#prompt")
    assert page.count("#prompt .special") > 0
    assert page.run("document.querySelector('#text').textContent") == row["text"]
    assert page.count("#text [data-shade='2']") == len(row["text"])
    assert "truncated" in page.text("#scores")


def test_conversation_reads_as_a_chat_that_goes_on(page, viewed):
    answer = next(
        row for row in tree_rows(viewed) if len(row["path"]) == 2 and not row["drop_reason"]
    )
    below = [
        row
        for row in tree_rows(viewed)
        if row["parent_id"] == answer["node_id"] and not row["drop_reason"]
    ]
    page.go(f"#/chat/{answer['wave']}/{answer['node_id']}", "chat")
    # What stands before the turns, here the topic, then a question and its answer.
    roles = page.run("[...document.querySelectorAll('.bubble small')].map(e => e.innerText)")
    assert roles[-2:] == ["user", "assistant"]
    assert page.run("document.querySelector('.bubble.here .said').innerText") == answer["text"]
    assert page.count(".chat a.row") == len(below) > 0
    page.click(".chat a.row")
    page.wait(f"document.querySelectorAll('.bubble').length === {len(roles) + 1}")


def test_search_by_key_finds_marks_and_opens(page, viewed):
    page.press("/")
    page.write("RIVER")
    page.press("Enter")
    page.drawn("search")
    assert page.count("#rows .row") > 0
    marked = page.run(
        "[...document.querySelectorAll('mark')].map(m => m.textContent.toLowerCase())"
    )
    assert set(marked) == {"river"}
    page.click("#rows .row")
    page.drawn("node")


def test_search_for_an_id_finds_its_node(page, viewed):
    row = tree_rows(viewed)[-1]
    page.go(f"#/search/{row['node_id'][:12]}", "search")
    assert page.count("#rows .row") == 1
    page.go("#/search/zzzzqqqq", "search")
    assert "Nothing was found." in page.text()


def test_duplicates_stand_beside_their_keepers(page):
    page.go("#/pairs", "pairs")
    assert page.count(".pair") >= 1
    assert page.count(".pair:first-child mark") == 2
    page.click(".pair a")
    page.drawn("node")
    assert page.count("#beside mark") == 2


def test_filters_begin_with_a_score_that_tells_turns_apart(page, viewed):
    scores = ask(viewed, "scores")["scores"]
    telling = {
        f"{score['score']} · {score['role']}"
        for score in scores
        if score["limits"] and score["low"] < score["high"]
    }
    assert 0 < len(telling) < len(scores)
    page.go("#/filters", "filters")
    assert page.run("document.querySelector('#score').value") in telling


def test_slider_tells_what_would_fall(page):
    page.go("#/filters", "filters")
    page.run(
        "const s = document.querySelector('#score');"
        "s.value = [...s.options].map(o => o.value).find(v => v.startsWith('words'));"
        "s.dispatchEvent(new Event('change'));"
        "const t = document.querySelector('#threshold'); t.value = t.min;"
        "t.dispatchEvent(new Event('input')); 0"
    )
    low = page.text("#falls")
    page.run(
        "(() => { const t = document.querySelector('#threshold'); t.value = t.max;"
        "t.dispatchEvent(new Event('input')); })()"
    )
    high = page.text("#falls")
    assert "about 0 of" in high
    assert "about 0 of" not in low
    page.click("#show-falling")
    page.wait("document.querySelector('#falling')?.innerText === 'No kept turn would fall.'")


def test_reasons_lead_to_the_turns_that_fell_for_them(page, viewed):
    reason, number = max(viewed.index().counts.dropped.items(), key=lambda item: item[1])
    page.click(f"a[href='#/dropped/{reason}']")
    page.drawn("dropped")
    chips = page.run("[...document.querySelectorAll('#rows .chip')].map(c => c.textContent)")
    assert chips == [reason] * number


def test_theme_follows_the_system_and_the_button(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.run(paper)
    page.prefer("dark")
    dark = page.run(paper)
    assert dark != light
    page.press("t")
    assert page.run(paper) == light
    page.press("t")
    assert page.run(paper) == dark


def test_help_opens_and_closes(page):
    page.press("?")
    assert page.run("document.querySelector('dialog').open") is True
    page.press("Escape")
    page.wait("!document.querySelector('dialog').open")


PAGES = {
    "forest": "#/",
    "tree": "#/tree/0/0",
    "radial": "#/tree/0/0/radial",
    "node": "#/node/{wave}/{node_id}",
    "chat": "#/chat/{wave}/{node_id}",
    "search": "#/search/river",
    "pairs": "#/pairs",
    "filters": "#/filters",
    "dropped": "#/dropped",
}


@pytest.mark.parametrize("name", PAGES)
def test_phone_needs_no_sideways_scrolling(page, viewed, name):
    page.size(360, 740, phone=True)
    page.go(PAGES[name].format(**tree_rows(viewed)[-1]), "tree" if name == "radial" else name)
    assert page.run("document.documentElement.scrollWidth") <= 360


def test_texts_of_a_run_are_never_markup(page):
    evil = "<img src=x onerror=alert(1)>"
    roots = {"trees": 1, "topics": [{"text": evil}]}
    other = grown(
        open_store(f"memory://{uuid.uuid4().hex}"), generation=GENERATION | {"roots": roots}
    )
    with served(other) as server:
        page.visit(f"{server.address}#/tree/0/0")
        assert evil in page.text()
        page.press("j")
        page.press("Enter")
        page.drawn("node")
        page.go(f"#/search/{quote(evil)}", "search")
        assert page.count("main img") == 0
        assert page.count("#rows mark") == 1
        page.requested.clear()


def test_growing_run_tells_new_figures_by_itself(page, viewed):
    store = open_store(f"memory://{uuid.uuid4().hex}")
    create_run(store, viewed.run_file)
    ledger = Ledger(viewed.store)
    with served(view_of(store)) as server:
        page.visit(server.address)
        assert page.text("#tiles").startswith("0\ntrees")
        first = ledger.read("000000")
        for entry in first.shards:
            store.create(entry.name, viewed.store.read(entry.name))
        Ledger(store).commit(first)
        page.wait("document.querySelector('#tiles').innerText.startsWith('1\\ntree')")
        assert "growing" in page.text("#state")
        page.requested.clear()


def test_wrong_node_is_told_as_an_error(page):
    page.run("location.hash = '#/node/000009/00'; 0")
    page.wait("!!document.querySelector('[role=alert]')")
    assert "no wave of this run" in page.text("[role=alert]")
    # The browser itself complains about the answer 400.
    page.complaints.clear()
