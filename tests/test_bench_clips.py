"""What a benchmark is pointed at: files, folders of videos, folders of pictures."""

import os
import shutil
from pathlib import Path

import pytest

from nvcodec.bench.clips import find_clips
from nvcodec.errors import SourceError

DATA = Path(__file__).parent / "data"
UVG = ("Beauty", "Bosphorus", "HoneyBee", "Jockey", "ReadySetGo", "ShakeNDry", "YachtRide")


@pytest.fixture
def tree(tmp_path):
    """A function that makes files and returns their folder."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        return tmp_path

    return make


def names(root, clips):
    return [str(clip.relative_to(root)) for clip in clips]


def test_files_come_as_they_are_and_once(tree):
    root = tree("b.mp4", "a.odd", "c.yuv")
    given = [root / "b.mp4", root / "a.odd", str(root / "b.mp4"), root / "." / "c.yuv"]
    assert names(root, find_clips(given)) == ["b.mp4", "a.odd", "c.yuv"]


def test_a_folder_gives_its_videos_in_natural_order(tree):
    root = tree("shot10.MP4", "Shot2.mkv", "shot1.webm", "notes.txt", "a.nvc", ".hidden.mp4", "cover.png", "z.y4m")
    assert names(root, find_clips([root])) == ["shot1.webm", "Shot2.mkv", "shot10.MP4", "z.y4m"]


def test_the_uvg_folder_in_every_way_it_is_kept(tree, tmp_path):
    root = tree(*(f"flat/{name}_1920x1080_120fps_420_8bit_YUV.yuv" for name in UVG))
    tree(*(f"nested/{name}/{name}_1920x1080_120fps_420_8bit_YUV.yuv" for name in UVG))
    tree(*(f"pictures/{name}/f{n:03d}.png" for name in UVG for n in range(3)))
    for folder in ("flat", "nested"):
        assert [clip.name.partition("_")[0] for clip in find_clips([root / folder])] == list(UVG)
    assert names(root / "pictures", find_clips([root / "pictures"])) == list(UVG)


def test_a_folder_of_pictures_is_one_clip(tree):
    root = tree("p/1.png", "p/2.PNG", "p/thumbs/3.png")
    assert find_clips([root / "p"]) == [root / "p"]


def test_sub_folders_are_searched_one_level_deep(tree):
    root = tree("a/one.mp4", "a/b/two.mp4", "three.mp4", ".git/four.mp4")
    assert names(root, find_clips([root])) == ["a/one.mp4", "three.mp4"]


def test_a_file_named_beside_its_folder_is_not_measured_twice(tree):
    root = tree("a.mp4", "b.mp4")
    os.symlink(root / "a.mp4", root / "c.mp4")
    assert names(root, find_clips([root / "b.mp4", root])) == ["b.mp4", "a.mp4"]


@pytest.mark.parametrize("path", ["nothing.mp4", "empty", "."])
def test_nothing_found_is_one_line(tree, path):
    root = tree("text.txt", "empty/notes.md")
    with pytest.raises(SourceError, match="no such file|no clips in it") as caught:
        find_clips([root / path])
    assert "\n" not in str(caught.value)


def test_no_path_is_an_error():
    with pytest.raises(SourceError, match="name video files"):
        find_clips([])


def test_the_bundled_excerpts(tmp_path):
    for path in DATA.iterdir():
        shutil.copy(path, tmp_path)
    assert names(tmp_path, find_clips([tmp_path])) == ["bunny_320x180.mp4", "city_odd_159x89.mp4"]
