"""The page of `nvc report` in a real browser: it needs nothing, shows everything, fits, and can be read.

The browser is $NVCODEC_BROWSER, or the first of NAMES on the path. Without one the tests are skipped, except where the
environment has CI, which has to have one.
"""

import contextlib
import json
import os
import shutil

import pytest
from absence import absent
from excerpt_samples import BUNNY, excerpt
from nvc_samples import tiny_nvc
from test_cli_report import HOSTILE

from nvcodec.cli.main import main

pytest_plugins = ("cli_fixtures",)

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = (360, 1280)

WATCH = "addEventListener('securitypolicyviolation', e => console.error('violation ' + e.violatedDirective))"
OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth > innerWidth ? ['the page'] : [];
  for (const e of document.body.querySelectorAll('*'))
    if (!e.closest('.scroll > *') && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 0.5)
      wide.push(e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 40));
  return wide;
}"""
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true}), known = {};
  const rgba = text => known[text] ??= (canvas.clearRect(0, 0, 1, 1), canvas.fillStyle = text,
    canvas.fillRect(0, 0, 1, 1), [...canvas.getImageData(0, 0, 1, 1).data].map(v => v / 255));
  const light = c => c.slice(0, 3).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c; if (c[3] > 0) throw 'half transparent ' + e.className; } throw 'no ground'; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.tagName === 'title' || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), ink = rgba(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    named = os.environ.get("NVCODEC_BROWSER")
    path = named or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        absent(f"none of {', '.join(NAMES)} is installed, and NVCODEC_BROWSER names no other")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("the Python package playwright is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """{name: (file, page)}: a real excerpt with its source, and a damaged file full of hostile text, with one too."""
    folder = tmp_path_factory.mktemp("browser")
    hostile = folder / "<img src=x onerror=alert(1)>&\"' \u202e"
    hostile.mkdir()
    hostile = hostile / ("long" * 40 + "<b>\u202e.nvc")
    content, offsets = tiny_nvc(meta=HOSTILE, wrong=(3,))
    damaged = bytearray(content)
    damaged[offsets[1] + 50] ^= 16
    hostile.write_bytes(damaged)
    whole = folder / "whole.nvc"
    whole.write_bytes(content)
    assert main(["decode", str(whole), str(folder / "whole.y4m"), "-q"]) == 0
    files = {"whole": (excerpt(folder), BUNNY), "hostile": (hostile, folder / "whole.y4m")}
    made = {}
    for name, (file, source) in files.items():
        made[name] = (file, folder / f"{name}.html")
        code = main(["report", str(file), "--source", str(source), "-o", str(made[name][1]), "-q"])
        assert code == (0 if name == "whole" else 8)
    return made


@contextlib.contextmanager
def opened(browser, path, scheme="light", width=1280):
    """A tab with the page: nothing may be complained about, and nothing but the page and its own data asked for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    complaints, asked = [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: asked.append(request.url))
    tab.add_init_script(WATCH)
    tab.goto(path.as_uri())
    yield tab, complaints, asked
    assert complaints == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    context.close()


@pytest.fixture(params=["whole", "hostile"])
def page(request, pages):
    return pages[request.param][1]


def test_nothing_is_asked_for_and_every_picture_is_there(browser, page):
    with opened(browser, page) as (tab, *_):
        pictures = tab.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.getAttribute('width')])")
        assert pictures and all(done and width == int(said) > 0 for done, width, said in pictures)
        assert tab.evaluate("document.scripts.length") == 0


def test_the_policy_is_in_force(browser, pages):
    """What the other tests count on: the page could not load or run anything if it wanted to."""
    with opened(browser, pages["whole"][1]) as (tab, complaints, asked):
        tab.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/a.png'}))")
        tab.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
        )
        tab.wait_for_timeout(50)
        assert any("violation img-src" in line for line in complaints)
        assert any("violation script-src" in line for line in complaints)
        assert tab.evaluate("window.ran === undefined") and asked.pop() == "https://example.org/a.png"
        complaints.clear()


def test_all_sections_are_shown(browser, page):
    with opened(browser, page) as (tab, *_):
        for name in ("quality", "frames", "samples", "bytes", "groups", "file", "models"):
            assert tab.locator(f"section#{name}").bounding_box()["height"] > 100
            assert tab.locator(f"section#{name} > h2").is_visible()
            assert tab.locator(f'nav a[href="#{name}"]').count() == 1
        for chart in tab.locator("svg").all():
            assert chart.bounding_box()["height"] > 20
        assert tab.locator("#warning-damage").count() == (page.name == "hostile.html")
        terms = tab.locator("#quality details")
        assert not terms.locator("dd").first.is_visible()
        terms.locator("summary").focus()
        tab.keyboard.press("Enter")
        assert terms.locator("dd").first.is_visible()


@pytest.mark.parametrize("name", ["whole", "hostile"])
def test_numbers_in_the_page_are_those_of_info(browser, pages, name, capsys):
    file, page = pages[name]
    main(["info", str(file), "--json"])
    info = json.loads(capsys.readouterr().out)
    with opened(browser, page) as (tab, *_):
        shown = {key: tab.locator(f"#tile-{key} b").inner_text() for key in ("bytes", "bpp", "groups")}
        assert shown == {
            "bytes": f"{info['bytes']:,}", "bpp": f"{info['bpp']:.4f}", "groups": f"{len(info['groups'])}",
        }  # fmt: skip
        rows = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
        kinds = tab.locator("#bytes tbody tr").evaluate_all(rows)
        assert {row[0]: int(row[1].replace(",", "")) for row in kinds} == info["bytes_by_kind"]
        groups = tab.locator("#groups tbody tr").evaluate_all(rows)
        assert [(int(row[0]), int(row[3]), row[4] == "anew", int(row[5].replace(",", ""))) for row in groups] == [
            (group["number"], group["frames"], group["random_access"], group["bytes"]) for group in info["groups"]
        ]
        facts = dict(tab.locator("#models .facts tr").evaluate_all(rows))
        for key, value in info["models"][0]["settings"].items():
            assert facts[key.replace("_", " ")] == str(value)
        facts = dict(tab.locator("#file .facts tr").evaluate_all(rows))
        assert facts["Frames"] == f"{info['frames']}" and facts["Complete"] == "yes"


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(browser, page, width):
    with opened(browser, page, width=width) as (tab, *_):
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        assert tab.evaluate(OVERFLOW) == []
        boxes = tab.locator(".scroll")
        moved = boxes.evaluate_all("boxes => boxes.map(b => { b.scrollLeft = 9999; return b.scrollLeft; })")
        assert (max(moved) > 0) == (width == 360), "what is too wide scrolls in its own box"


def test_both_schemes_can_be_read(browser, page):
    grounds = {}
    for scheme in ("light", "dark"):
        with opened(browser, page, scheme) as (tab, *_):
            tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
            contrasts = tab.evaluate(CONTRASTS)
            assert len(contrasts) > 100 and min(contrasts)[0] >= 4.5, min(contrasts)
            grounds[scheme] = tab.evaluate(
                "['html', '.tiles li', '.area', '.stack rect'].map(s => { const c = getComputedStyle("
                "document.querySelector(s)); return c.backgroundColor + c.fill; })"
            )
    assert all(a != b for a, b in zip(grounds["light"], grounds["dark"], strict=True))


def test_hostile_text_is_shown_as_text(browser, pages):
    file, page = pages["hostile"]
    with opened(browser, page) as (tab, *_):
        name = file.name.replace("\u202e", "\\u{202e}")
        assert tab.locator("h1").inner_text() == name and tab.title() == f"{name}: nvcodec report"
        shown = tab.locator("#file").inner_text()
        for text in (
            "</style><script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "\\u{1b}[31m red",
            "x" * 5000,
        ):
            assert text in shown
        assert tab.evaluate("document.querySelectorAll('h1 *, #file td > :not(code)').length") == 0
        assert tab.locator("#warning-damage li").count() == 2 and tab.locator("#warning-wrong li").count() == 1
