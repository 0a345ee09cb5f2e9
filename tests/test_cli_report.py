"""`nvc report`: what is on the page, for whole, cut and hostile files, and every error. What it looks like is tested in
a browser."""

import base64
import html.parser
import io
import json
import os
import re
from pathlib import Path

import pytest
from cli_samples import frames_of, one_error
from excerpt_samples import BUNNY, CITY, excerpt
from media_samples import write
from nvc_samples import FRAMES, tiny_nvc
from PIL import Image

import nvcodec
from nvcodec.bench.page import POLICY
from nvcodec.bench.report import collect
from nvcodec.video import Frame

pytest_plugins = ("cli_fixtures",)

VECTORS = Path(__file__).parent / "vectors"
HOSTILE = {
    "</style><script>alert(1)</script>": "<img src=x onerror=alert(1)>",
    "title": "tab\t, null \u0000, \x1b[31m red, \u202e backwards, & < > \" '",
    "nested": {"a": ["</td></table><iframe src='https://example.org'>"]},
    "long": "x" * 5000,
}


class Page(html.parser.HTMLParser):
    """Elements with their attributes, text by id and tag, and whether everything is closed."""

    def __init__(self, path):
        super().__init__()
        self.text = open(path, encoding="utf-8").read()
        self.elements, self.open, self.words = [], [], []
        self.feed(self.text)
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append((self.open[-1] if self.open else "", data))

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def has(self, text):
        return any(text in data for tag, data in self.words if tag != "style")

    def pictures(self):
        sources = [attributes["src"].split(",")[1] for attributes in self.named("img")]
        return [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]


@pytest.fixture(scope="module")
def nvc(tmp_path_factory):
    return excerpt(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def with_source(nvc, tmp_path_factory):
    from nvcodec.cli.main import main

    path = tmp_path_factory.mktemp("pages") / "with.html"
    assert main(["report", str(nvc), "--source", str(BUNNY), "-o", str(path), "-q"]) == 0
    return Page(path)


def test_the_page_is_complete_and_refers_to_nothing(with_source):
    page = with_source
    assert page.text.startswith("<!DOCTYPE html>") and page.named("html")[0]["lang"] == "en"
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in page.named("meta")
    assert "default-src 'none'" in POLICY and "script" not in POLICY
    assert not page.named("script") and not page.named("iframe") and not re.search(r"\bon\w+=", page.text)
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
    assert not re.search(r"url\(|@import|https?:", page.text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for attributes in page.named("a")} <= set(ids)


def test_the_page_can_be_read_without_seeing_it(with_source):
    page = with_source
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False)), "no heading is left out"
    assert all(attributes.get("alt") for attributes in page.named("img"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.named("th"))
    assert all(attributes.get("aria-label") and attributes["role"] == "img" for attributes in page.named("svg"))
    assert len(page.named("table")) == len(page.named("caption"))


def test_numbers_are_those_of_the_other_commands(run, nvc, with_source):
    info = json.loads(run("info", nvc, "--json")[1])
    compared = json.loads(run("compare", BUNNY, nvc, "--shortest", "--json")[1])
    for text in (
        f"{info['bytes']:,}",
        f"{info['bpp']:.4f}",
        f"{compared['psnr_rgb']:.2f}",
        f"{compared['psnr_y']:.2f}",
    ):
        assert with_source.has(text)
    assert with_source.has(f"{8 * info['bytes'] / (4 / 25) / 1000:.1f}")
    assert with_source.has("frame 0 of the file is its frame 8, found by time stamps")
    for kind, size in info["bytes_by_kind"].items():
        assert with_source.has(kind) and with_source.has(f"{size:,}")
    for name, value in info["models"][0]["settings"].items():
        assert with_source.has(name.replace("_", " ")) and with_source.has(f"{value}")
    found = collect(str(nvc), str(BUNNY))
    assert found.quality.per_frame["psnr_rgb"] == tuple(compared["per_frame"]["psnr_rgb"])
    assert [row.psnr for row in found.groups] == [
        pytest.approx(sum(compared["per_frame"]["psnr_rgb"][n : n + 2]) / 2) for n in (0, 2)
    ]
    assert with_source.has("2 exact") and [row.check for row in found.groups] == ["exact", "exact"]
    assert found.reference.digest and with_source.has(found.reference.digest) and with_source.has(found.digest)


def test_pictures_are_the_frames(nvc, with_source):
    found = collect(str(nvc), str(BUNNY))
    worst = found.quality.per_frame["psnr_rgb"].index(min(found.quality.per_frame["psnr_rgb"]))
    whys = {sample.number: sample.why for sample in found.samples}
    assert "lowest PSNR" in whys[worst] and "first" in whys[0] and "last" in whys[3]
    sources, decoded = frames_of(BUNNY), list(nvcodec.decode(nvc))
    for sample in found.samples:
        assert sample.decoded.same_pixels(decoded[sample.number])
        assert sample.source.same_pixels(sources[sample.number + 8])
        assert sample.psnr == found.quality.per_frame["psnr_rgb"][sample.number]
        assert sample.time == pytest.approx((sample.number + 8) / 25)
        assert all(plane.base is None for plane in sample.decoded.planes), "does not hold its group in memory"
    assert [picture.size for picture in with_source.pictures()] == [(320, 180)] * 3 * len(found.samples)


def test_without_a_source(run, nvc):
    code, out, err = run("report", nvc, "-o", "page.html")
    assert (code, err) == (0, "") and out.startswith("page.html: 4 frames, ")
    page = Page("page.html")
    assert len(page.pictures()) == 4 and not page.has("PSNR") and page.has("2 exact")
    assert os.path.getsize("page.html") < 400_000


def test_the_page_is_beside_the_file_and_the_same_each_time(tiny):
    assert tiny("report", "tiny.nvc", "-q") == (0, "", "")
    before = open("tiny.html", "rb").read()
    assert tiny("report", "tiny.nvc", "--force")[0] == 0
    assert open("tiny.html", "rb").read() == before


def test_hostile_text_is_text(run):
    name = "<b>&\"'\u202e.nvc"
    with open(name, "wb") as file:
        file.write(tiny_nvc(meta=HOSTILE)[0])
    assert run("report", name, "-o", "page.html")[0] == 0
    page = Page("page.html")
    assert not page.named("script") and not page.named("iframe") and not page.named("b")[6:]
    assert "onerror" not in {key for _, attributes in page.elements for key in attributes}
    for text in ("</style><script>", "<img src=x", "\\u{1b}[31m", "\\u{202e}", "\\u{0}", "</td></table>", "x" * 5000):
        assert page.has(text), text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page.text)


@pytest.mark.parametrize(("name", "frames"), [("cut", 4), ("damaged", 5)])
@pytest.mark.parametrize("source", [[], ["--source", "tiny.y4m"]])
def test_what_is_left_of_a_file(tiny, name, frames, source):
    tiny("decode", "tiny.nvc", "tiny.y4m", "-q")
    expected = tiny("info", f"{name}.nvc")
    code, out, err = tiny("report", f"{name}.nvc", *source)
    assert code == expected[0] and f"{frames} frames" in out
    assert err.splitlines()[-1] == expected[2].rstrip(), "the same error"
    page = Page(f"{name}.html")
    assert page.has("This file is cut or damaged") and page.has("over the frames that can be read")
    if source:
        found = collect(f"{name}.nvc", "tiny.y4m")
        assert found.numbers == ((0, 1, 2, 3) if name == "cut" else (0, 1, 4, 5, 6))
        assert all(value == float("inf") for value in found.quality.per_frame["psnr_rgb"]), "aligned after the gap too"
        assert page.has(f"{frames} frames without any error cannot be drawn")


def test_groups_that_cannot_be_decoded(tiny, data):
    """Whole themselves, but what they inherit from is lost."""
    content = bytearray(data[0])
    content[data[1][2] + 50] ^= 1
    with open("base.nvc", "wb") as file:
        file.write(content)
    code, _, err = tiny("report", "base.nvc")
    assert code == 8 and "group 3 is left out" in err
    page = Page("base.html")
    assert page.has("not decoded") and page.has("2 exact, 1 not decoded") and page.has("group 3 is left out")


def test_a_file_that_stopped_before_its_first_group(tiny, data):
    tiny("decode", "tiny.nvc", "tiny.y4m", "-q")
    with open("begun.nvc", "wb") as file:
        file.write(data[0][: data[1][0]])
    for source in ([], ["--source", "tiny.y4m"]):
        assert tiny("report", "begun.nvc", "--force", *source)[0] == 7
        page = Page("begun.html")
        assert page.has("Not one group can be read") and not page.named("img")


def test_wrong_pixels_are_told(run):
    with open("wrong.nvc", "wb") as file:
        file.write(tiny_nvc(wrong=(3,), off=(1,))[0])
    code, _, err = run("report", "wrong.nvc")
    assert code == 0 and "1 group decoded to wrong pixels" in err
    assert Page("wrong.html").has("2 exact, 1 close, 1 wrong")


def test_a_source_that_ends_early(tiny):
    tiny("decode", "tiny.nvc", "short.y4m", "--frames", ":5", "-q")
    code, _, err = tiny("report", "tiny.nvc", "--source", "short.y4m")
    assert code == 0 and "5 frames could be compared" in err
    page = Page("tiny.html")
    assert page.has("5 frames against short.y4m") and page.has(f"{len(nvcodec.info('tiny.nvc').groups)} exact")
    assert len(page.pictures()) % 3 != 0, "the last frame has no source"


def test_an_offset_that_is_asked_for(tiny):
    tiny("decode", "tiny.nvc", "all.mkv", "-q")
    info, frames = nvcodec.open("tiny.nvc").info, frames_of("all.mkv")
    write("late.y4m", info, [Frame(frames[max(n - 2, 0)].planes, n) for n in range(FRAMES + 2)])
    found = collect("tiny.nvc", "late.y4m", offset=2)
    assert all(value == float("inf") for value in found.quality.per_frame["psnr_y"]) and len(found.numbers) == FRAMES
    assert collect("tiny.nvc", "late.y4m").quality.per_frame["psnr_y"][1] < 99


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.nvc"], 3, "none.nvc"),
        (["-"], 2, "standard input"),
        (["tiny.nvc", "--source", "-"], 2, "standard input"),
        (["text"], 5, "not an .nvc file"),
        (["tiny.nvc", "--source", "none.mp4"], 3, "none.mp4"),
        (["tiny.nvc", "--source", str(CITY)], 3, "159x89"),
        (["tiny.nvc", "-o", "page.pdf"], 2, "page.html"),
        (["tiny.nvc", "-o", "no/page.html"], 4, "no/page.html"),
        (["there.nvc"], 4, "--force"),
        (["tiny.nvc", "--vmaf"], 2, "--source"),
        (["tiny.nvc", "--device", "abacus"], 2, "abacus"),
    ],
)
def test_what_cannot_be(tiny, arguments, code, words):
    for name in ("text", "there.html"):
        with open(name, "w") as file:
            file.write("hello, this is not a video")
    before = sorted(os.listdir())
    result, out, err = tiny("report", *arguments)
    assert (result, out) == (code, "") and words in one_error(err)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.nvc")), ids=lambda path: path.stem)
def test_every_kind_of_video(run, path):
    """Gray, RGB, 10 bit, several networks and chains: a page, and against its own pixels no error."""
    assert run("report", path, "--source", path, "-o", "page.html", "-q") == (0, "", "")
    page, survey = Page("page.html"), nvcodec.info(path)
    assert page.has("∞") and page.has(f"{len(survey.groups)} exact")
    assert sum(data.startswith("Model ") for tag, data in page.words if tag == "caption") == len(survey.models)
