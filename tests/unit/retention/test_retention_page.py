import re
from html.parser import HTMLParser

import pytest

from pipeline.retention.compare import compare
from pipeline.retention.page import Story, page
from schemas.retention import MeasuredMetric, MeasuredSamples, MeasuredTask
from tests.unit.retention.measured import choices, measured

NASTY = "<script>alert('1')</script>&\"$x^2$ http://example.org/a"
LOADS = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """What a browser would see."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def sample(kl):
    near = (1.0, 0.9) if kl else (1.0, 1.0)
    return MeasuredSamples(items="s", kl=(kl, kl / 2), tokens=(3, 4), cka=near, layers=(0, 1))


def task(right, written):
    return MeasuredTask(items="t", nll=(1.0, 2.0), tokens=(2, 2), right=right, written=written)


def model(name, *, shift):
    metric = MeasuredMetric(items="h", value=0.5 - shift, error=0.1)
    return measured(
        model=name,
        nll=(3.0, 4.0 + shift),
        choices={NASTY: choices((-1 - 2 * shift, -2), (-1, -3), (-3, -1), words=NASTY)},
        samples={NASTY: sample(shift)},
        task={NASTY: task((not shift, False), (NASTY, NASTY))},
        harness={f"{NASTY} acc": metric},
    )


@pytest.fixture(scope="module")
def written():
    log = [
        {"step": n, "loss": 3 / n, f"loss/{NASTY}": 2 / n, "loss/late": None, "learning_rate": 1e-4}
        for n in range(1, 2000)
    ] + [{"step": 2000, "loss": 0.1, "loss/late": 0.5}]
    part = {"counts": {"rows": 3, "used_rows": 2, "passes": 0.5}, "source": {"files": [NASTY]}}
    story = Story(
        title=NASTY,
        log=log,
        parts={NASTY: part},
        provenance={NASTY: NASTY},
        warnings=[NASTY],
    )
    return page(compare(model(NASTY, shift=0.0), model(f"{NASTY} after", shift=0.75)), story)


@pytest.fixture(scope="module")
def read(written):
    reader = Reader()
    reader.feed(written)
    reader.close()
    return reader


def test_page_loads_nothing(written, read):
    loaded = [(name, value) for name, value in read.attributes if name in LOADS]
    assert all(value.startswith("#") for _, value in loaded), loaded
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(read.tags)
    assert "url(http" not in written and "@import" not in written
    outside = re.sub(r"http://example\.org", "", written)
    assert "http://" not in outside and "https://" not in outside


def test_what_others_wrote_is_text_and_nothing_else(written, read):
    assert "<script" not in written and "onerror" not in written
    assert any("<script>alert('1')</script>" in text for text in read.texts)
    assert not read.open


def test_dollars_in_names_are_no_mathematics(read):
    assert any("$x^2$" in text for text in read.texts)


def test_drawings_take_the_colours_of_the_page(written, read):
    drawn = "".join(re.findall(r"<svg.*?</svg>", written, re.DOTALL))
    assert read.tags.count("svg") >= 7
    assert not re.search(r"#0[12]0[12]0\d", drawn)
    used = set(re.findall(r"var\((--[\w-]+)\)", written))
    for scheme in re.findall(r":root \{(.*?)\}", written, re.DOTALL):
        assert used - {"--paper", "--card"} <= {*re.findall(r"(--[\w-]+):", scheme)}
    assert "prefers-color-scheme: dark" in written


def test_page_tells_what_was_lost(read):
    told = "".join(read.texts)
    assert "Of 2 questions that it answered right before, 1 (50%) are still right" in told
    assert "written answers: 1 lost" in told and "1 / 0 (p 1)" in told


def test_page_is_the_same_each_time():
    found = compare(model("a", shift=0.0), model("b", shift=0.75))
    assert page(found) == page(found)


def test_page_of_nothing_says_so():
    found = page(compare(measured(), measured()), Story(log=[{"step": 1, "loss": 2.0}]))
    assert "Nothing was measured" in found and "Training" in found


def test_page_tells_of_cut_rows_bad_ones_and_all_notes():
    counts = {"rows": 9, "cut": 7654, "bad": 1, "bad_examples": [{"where": "a:3", "why": "<no>"}]}
    part = {"counts": counts, "source": {"files": ["a"], "notes": ["one thing", "another"]}}
    sums = MeasuredTask(items="t", nll=(1.0, 2.0), tokens=(2, 2), bad=3, left_out=2)
    one = measured(task={"sums": sums})
    found = page(compare(one, one), Story(parts={"replay": part}))
    for told in (">7,654<", "replay: one thing", "replay: another", "a:3: &lt;no&gt;"):
        assert told in found
    assert "task.sums: 3 rows could not be read" in found
    assert "task.sums: 2 rows were left out" in found


def test_page_shows_no_interval_where_no_item_changed():
    one = measured(choices={"capitals": choices((-1, -2), (-2, -1))})
    other = measured(choices={"capitals": choices((-1, -3), (-2, -1.5))})
    found = page(compare(one, other))
    assert "0.000 (no item changed)" in found and "0.000 to 0.000" not in found
    assert "No change that these items could show: <b>capitals</b> accuracy, margin" in found
