"""The tool that decodes in threads and in processes, in turns."""

import json

from click.testing import CliRunner
from excerpt_samples import excerpt

from tools import decoding_turns


def test_both_ways_are_measured(tmp_path, monkeypatch):
    path, out, ways = excerpt(tmp_path), tmp_path / "out.json", []
    speed = decoding_turns.speed
    monkeypatch.setattr(decoding_turns, "speed", lambda path, way: ways.append(way) or speed(path, way))
    monkeypatch.setattr(decoding_turns.torch, "set_num_threads", lambda _: None)
    done = CliRunner().invoke(decoding_turns.main, [str(path), "--turns", "3", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert ways == [False, True] * 3
    (found,) = json.loads(out.read_text())["files"]
    assert found["file"] == "excerpt.nvc" and found["bytes"] == path.stat().st_size
    assert found["megapixels_per_second"].keys() == decoding_turns.WAYS.keys()
    assert all(value > 0 for value in found["megapixels_per_second"].values())


def test_a_damaged_file_is_one_line(tmp_path):
    path = tmp_path / "cut.nvc"
    path.write_bytes(excerpt(tmp_path).read_bytes()[:300])
    done = CliRunner().invoke(decoding_turns.main, [str(path), "-o", str(tmp_path / "out.json")])
    assert done.exit_code == 1 and done.output.startswith("Error: ") and done.output.count("\n") == 1
    assert not (tmp_path / "out.json").exists()
