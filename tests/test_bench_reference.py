"""What every codec of a benchmark gets: the right frames, the right facts about them, and a cache that cannot lie."""

import hashlib
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_samples import noise, read, same_pixels, write

from nvcodec.bench import reference as module
from nvcodec.bench.reference import prepare
from nvcodec.errors import LimitError, SourceError, TargetError, UsageError
from nvcodec.media.color import stack_planes, to_rgb
from nvcodec.media.y4m import frame_parts
from nvcodec.video import Chroma, ColorInfo, Frame, Range, VideoInfo

DATA = Path(__file__).parent / "data"
BUNNY = DATA / "bunny_320x180.mp4"
CITY = DATA / "city_odd_159x89.mp4"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_frames_and_facts_of_a_plain_clip(cache):
    made = prepare(BUNNY, frames=5, start=3, cache=cache)
    info, got = read(made.path)
    assert same_pixels(got, read(BUNNY)[1][3:8])
    assert (info.rate, info.pixel_format, info.width, info.height) == (25, "yuv420p", 320, 180)
    assert made.describe() == {
        "name": "bunny_320x180.mp4",
        "digest": sha256(BUNNY),
        "reference": {
            "width": 320,
            "height": 180,
            "frames": 5,
            "rate": "25/1",
            "pixel_format": "yuv420p",
            "sha256": sha256(made.path),
            "scaled": False,
            "cropped": False,
            "start": 3,
            "looped": False,
            "matrix": 6,
            "source_matrix": 2,
            "motion": made.motion,
        },
    }
    json.dumps(made.describe(), allow_nan=False)


def test_motion_is_the_mean_squared_difference_of_frames(cache):
    made = prepare(BUNNY, frames=4, cache=cache)
    info, frames = read(made.path)
    rgb = to_rgb(stack_planes(frames), info).double().numpy()
    assert made.motion == pytest.approx(float(((rgb[1:] - rgb[:-1]) ** 2).mean()), rel=1e-9)
    assert made.motion > 1e-4
    assert prepare(BUNNY, frames=1, cache=cache).motion == 0.0


def test_scaled_and_cropped_are_told(cache):
    scaled = prepare(BUNNY, size=(160, 90), frames=2, cache=cache)
    assert (scaled.scaled, scaled.cropped, scaled.width, scaled.height) == (True, False, 160, 90)
    assert read(scaled.path)[0].plane_shapes[0] == (90, 160)
    cropped = prepare(CITY, cache=cache)
    assert (cropped.scaled, cropped.cropped, cropped.width, cropped.height, cropped.frames) == (False, True, 158, 88, 8)
    whole = prepare(BUNNY, size=(320, 180), frames=2, cache=cache)
    assert not whole.scaled and whole == prepare(BUNNY, frames=2, cache=cache)


def test_a_looped_clip_repeats_what_there_is(cache):
    made = prepare(CITY, start=2, frames=15, loop=True, cache=cache)
    _, once = read(prepare(CITY, start=2, cache=cache).path)
    _, got = read(made.path)
    assert len(once) == 6 and same_pixels(got, (once * 3)[:15])
    assert (made.frames, made.looped, made.start) == (15, True, 2)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"frames": 9}, SourceError, "has 8 frames, 9 were asked for; ask for 8, or loop it"),
        ({"frames": 6, "start": 3}, SourceError, "has 5 frames from frame 3 on, 6 were asked for; ask for 5"),
        ({"start": 8}, SourceError, "has 8 frames, none from frame 8 on"),
        ({"start": 9, "frames": 3, "loop": True}, SourceError, "has 8 frames, none from frame 9 on"),
        ({"start": -1}, UsageError, "no frames -1:"),
        ({"frames": 0}, UsageError, "no frames 0:0"),
        ({"loop": True}, UsageError, "say how many"),
        ({"size": (159, 90)}, UsageError, "ask for 158x90"),
        ({"size": (0, 0)}, LimitError, "0x0"),
    ],
)
def test_requests_that_cannot_be_met_leave_nothing(cache, asked, error, words):
    with pytest.raises(error, match=words) as caught:
        prepare(CITY, cache=cache, **asked)
    assert "\n" not in str(caught.value)
    assert not cache.exists() or not list(cache.iterdir())


def test_a_clip_that_breaks_leaves_nothing(cache, tmp_path):
    info, frames = read(CITY)
    write(tmp_path / "a.y4m", info, frames)
    (tmp_path / "a.y4m").write_bytes((tmp_path / "a.y4m").read_bytes()[:-5])
    with pytest.raises(SourceError, match="ends inside frame 7"):
        prepare(tmp_path / "a.y4m", cache=cache)
    assert not list(cache.iterdir())


def test_what_cannot_be_a_cache_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetError, match="file"):
        prepare(CITY, cache=tmp_path / "file")


@pytest.fixture
def made_again(monkeypatch):
    """How often a reference was really made."""
    calls, make = [], module._make

    def count(*arguments):
        calls.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(module, "_make", count)
    return calls


def test_the_cache_is_used_and_equal(cache, made_again):
    first = prepare(CITY, frames=3, cache=cache)
    assert prepare(CITY, frames=3, cache=cache) == first and len(made_again) == 1
    assert sorted(p.suffix for p in cache.iterdir()) == [".json", ".y4m"]


def test_every_parameter_has_a_file_of_its_own(cache, made_again):
    asked = [{}, {"frames": 3}, {"frames": 3, "start": 1}, {"frames": 3, "loop": True}, {"size": (80, 44)}]
    paths = {prepare(CITY, cache=cache, **options).path for options in asked}
    assert len(paths) == len(made_again) == len(asked)


def test_the_same_bytes_under_another_name_are_named_so(cache, tmp_path):
    shutil.copy(CITY, tmp_path / "other.mp4")
    assert prepare(tmp_path / "other.mp4", frames=2, cache=cache).name == "other.mp4"
    assert prepare(CITY, frames=2, cache=cache).name == CITY.name


def test_the_same_bytes_read_otherwise_are_another_reference(cache, tmp_path):
    """What a .yuv file holds is in its name alone."""
    for name in ("clip_64x32_25", "clip_32x64_25", "clip_64x32_50"):
        (tmp_path / f"{name}.yuv").write_bytes(bytes(range(256)) * 36)
    made = [prepare(path, cache=cache) for path in sorted(tmp_path.glob("*.yuv"))]
    assert [(m.width, m.height, m.rate, m.frames) for m in made] == [(32, 64, 25, 3), (64, 32, 25, 3), (64, 32, 50, 3)]
    assert len({m.path for m in made}) == 3 and len({m.digest for m in made}) == 1


def spoil_video(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def spoil_fact(path):
    sheet = path.with_suffix(".json")
    sheet.write_text(sheet.read_text().replace('"motion": 0', '"motion": 1'))


def spoil_source(path):
    sheet = json.loads(path.with_suffix(".json").read_text())
    sheet["request"]["digest"] = "0" * 64
    path.with_suffix(".json").write_text(json.dumps(sheet))


SPOILS = {
    "video": spoil_video,
    "fact": spoil_fact,
    "source": spoil_source,
    "no video": lambda path: path.unlink(),
    "no sheet": lambda path: path.with_suffix(".json").unlink(),
    "no JSON": lambda path: path.with_suffix(".json").write_bytes(b"\xff{"),
    "other JSON": lambda path: path.with_suffix(".json").write_text("[]"),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_a_cached_file_that_is_not_what_it_was_is_made_again(cache, made_again, spoil):
    first = prepare(CITY, frames=2, cache=cache)
    spoil(first.path)
    assert prepare(CITY, frames=2, cache=cache) == first
    assert len(made_again) == 2 and sha256(first.path) == first.sha256


def test_a_changed_clip_is_another_reference(cache, tmp_path):
    info = VideoInfo(16, 16, time_base=Fraction(1, 5), rate=Fraction(5))
    write(tmp_path / "a.y4m", info, noise(info, [0, 1], seed=1))
    first = prepare(tmp_path / "a.y4m", cache=cache)
    write(tmp_path / "a.y4m", info, noise(info, [0, 1], seed=2), force=True)
    second = prepare(tmp_path / "a.y4m", cache=cache)
    assert first.path != second.path and first.sha256 != second.sha256 and first.rate == 5


def test_time_stamps_become_a_constant_rate(cache, tmp_path):
    info = VideoInfo(16, 16, time_base=Fraction(1, 1000), rate=Fraction(24))
    frames = noise(info, [0, 40, 90, 95])
    write(tmp_path / "a.mkv", info, frames)
    again, got = read(prepare(tmp_path / "a.mkv", cache=cache).path)
    assert same_pixels(got, frames) and [f.pts * again.time_base for f in got] == [n / again.rate for n in range(4)]


def test_a_folder_of_pictures(cache, tmp_path):
    info = VideoInfo(32, 16, 8, Chroma.C444, ColorInfo(matrix=0, range=Range.FULL))
    planes = [np.full((16, 32), value, np.uint8) for value in (200, 60, 30)]  # G, B, R
    write(tmp_path / "green", info, [Frame(tuple(planes), n) for n in range(2)])
    made = prepare(tmp_path / "green", cache=cache)
    again, got = read(made.path)
    assert (made.name, made.rate, made.frames, made.source_matrix) == ("green", 25, 2, 0)
    assert again.color.range is Range.LIMITED and made.motion == 0
    luma = 16 + 219 * (0.587 * 200 + 0.114 * 60 + 0.299 * 30) / 255
    assert np.abs(got[0].planes[0] - luma).max() <= 0.5


def test_ten_bit_raw_video(cache, tmp_path):
    info = VideoInfo(16, 8, 10, Chroma.C422, time_base=Fraction(1, 50), rate=Fraction(50))
    (frame,) = noise(info, [0])
    path = tmp_path / "x_16x8_50fps_10bit_422.yuv"
    path.write_bytes(b"".join(frame_parts(frame)))
    made = prepare(path, cache=cache)
    _, got = read(made.path)
    assert np.array_equal(got[0].planes[0], np.minimum((frame.planes[0] + 2) // 4, 255))
    assert (made.pixel_format, made.rate, made.scaled) == ("yuv420p", 50, False)


def test_names_that_files_cannot_have(cache, tmp_path):
    shutil.copy(CITY, tmp_path / "a b:ü%03d.mp4")
    made = prepare(tmp_path / "a b:ü%03d.mp4", frames=1, cache=cache)
    assert made.name == "a b:ü%03d.mp4" and made.path.name.isascii() and " " not in made.path.name
