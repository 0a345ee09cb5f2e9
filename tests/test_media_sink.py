"""Outputs appear whole or not at all, replace nothing unasked, and say so in one line."""

import hashlib
import os
from fractions import Fraction

import pytest
from media_samples import noise, read, same_pixels, write

from nvcodec.errors import SourceError, TargetError
from nvcodec.media.sink import open_sink
from nvcodec.video import Chroma, ColorInfo, Range, VideoInfo

INFO = VideoInfo(6, 4, 8, Chroma.C420, time_base=Fraction(1, 25), rate=Fraction(25))
FILES = ["a.mkv", "a.mp4", "a.y4m", "a.md5"]


@pytest.mark.parametrize("name", [*FILES, "a"])
def test_output_appears_only_when_closed(tmp_path, name):
    sink = open_sink(tmp_path / name, INFO)
    for frame in noise(INFO, range(3)):
        sink.write(frame)
    assert not (tmp_path / name).exists()
    sink.close()
    sink.close()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", [*FILES, "a"])
def test_nothing_is_left_when_an_exception_passes(tmp_path, name):
    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / name, INFO) as sink:
        sink.write(noise(INFO, [0])[0])
        raise KeyboardInterrupt
    sink.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_an_existing_file_needs_force(tmp_path, name):
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(TargetError, match=r"exists already.*--force"):
        open_sink(tmp_path / name, INFO)
    sink = open_sink(tmp_path / name, INFO, force=True)
    sink.write(noise(INFO, [0])[0])
    sink.abort()
    assert (tmp_path / name).read_bytes() == b"precious"
    write(tmp_path / name, INFO, noise(INFO, [0]), force=True)
    assert (tmp_path / name).read_bytes() != b"precious"


@pytest.mark.parametrize("name", FILES)
def test_a_new_file_has_the_usual_permissions(tmp_path, name):
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / name, INFO, noise(INFO, [0]))
    assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", [*FILES, "p/"])
def test_a_missing_parent_folder_is_told(tmp_path, name):
    with pytest.raises(TargetError, match="cannot write there"):
        open_sink(f"{tmp_path}/none/{name}", INFO)


def test_an_unknown_suffix_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(TargetError, match=r"\.avi: unknown kind.*\.mkv"):
        open_sink(tmp_path / "a.avi", INFO)


def test_a_folder_named_like_a_file_is_refused(tmp_path):
    (tmp_path / "a.mkv").mkdir()
    with pytest.raises(TargetError, match="is a folder"):
        open_sink(tmp_path / "a.mkv", INFO, force=True)
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(TargetError, match="is not a folder"):
        open_sink(tmp_path / "b", INFO, force=True)


def test_force_replaces_the_frames_in_a_folder_and_nothing_else(tmp_path):
    info = VideoInfo(6, 4, 8, Chroma.GRAY, ColorInfo(range=Range.FULL))
    folder = tmp_path / "p"
    write(folder, info, noise(info, range(5)))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(TargetError, match=r"not empty.*--force"):
        open_sink(folder, info)
    frames = noise(info, range(2), seed=9)
    write(folder, info, frames, force=True)
    assert sorted(p.name for p in folder.iterdir()) == ["frame_000001.png", "frame_000002.png", "notes.txt"]
    assert same_pixels(read(folder)[1], frames)
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "p").mkdir()
    write(tmp_path / "p", INFO, noise(INFO, [0]))
    assert os.listdir(tmp_path / "p") == ["frame_000001.png"]


@pytest.mark.parametrize("depth", [8, 10])
def test_md5_lines_are_those_of_the_y4m_bytes(tmp_path, depth):
    info = VideoInfo(5, 3, depth, Chroma.C420, time_base=Fraction(1, 25), rate=Fraction(25))
    frames = noise(info, [7, 8])
    write(tmp_path / "a.md5", info, frames)
    write(tmp_path / "a.y4m", info, frames)
    first, second = (tmp_path / "a.y4m").read_bytes().split(b"\n", 1)[1].split(b"FRAME\n")[1:]
    digest = [hashlib.md5(b).hexdigest() for b in (first, second, first + second)]
    want = f"frame 0 7 {digest[0]}\nframe 1 8 {digest[1]}\ntotal 2 {digest[2]}\n"
    assert (tmp_path / "a.md5").read_text() == want


def test_md5_to_standard_output(capfdbinary, tmp_path):
    write(tmp_path / "a.md5", INFO, noise(INFO, [0]))
    write("md5:-", INFO, noise(INFO, [0]))
    assert capfdbinary.readouterr().out == (tmp_path / "a.md5").read_bytes()


def test_planes_that_are_not_as_promised_are_a_bug(tmp_path):
    wrong = VideoInfo(8, 4, 8, Chroma.C420)
    with pytest.raises(AssertionError), open_sink(tmp_path / "a.mkv", INFO) as sink:
        sink.write(noise(wrong, [0])[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.y4m", "a.mkv"])
def test_a_video_without_frames_leaves_a_file_that_is_refused_politely(tmp_path, name):
    write(tmp_path / name, INFO, [])
    assert (tmp_path / name).stat().st_size > 0
    with pytest.raises(SourceError) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    real = open
    monkeypatch.setattr("builtins.open", lambda p, m="r", *a, **k: real("/dev/full" if "w" in m else p, m, *a, **k))
    with pytest.raises(TargetError, match="No space left"):
        write(tmp_path / "a.y4m", INFO, noise(INFO, range(3)))
    assert not list(tmp_path.iterdir())
