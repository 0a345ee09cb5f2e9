"""The README's Python runs as it stands."""

import re
import shutil
from pathlib import Path

import nvcodec

ROOT = Path(__file__).resolve().parents[1]


def test_examples(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks, "the README has examples"
    shutil.copy(ROOT / "tests/data/city_odd_159x89.mp4", tmp_path / "in.mp4")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert out.startswith("6 frames, ") and "159 89 yuv420p 6" in out
    assert nvcodec.info("out.nvc").frames == 6


def test_the_commands_of_the_readme_exist():
    """Every option that the README names is one of the command it is named with."""
    from nvcodec.cli.main import COMMANDS, nvc

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    nvc (\w+) (.*?)(?:  #.*)?$", text, re.MULTILINE)
    assert {command for command, _ in lines} == set(COMMANDS)
    for command, rest in lines:
        known = {name for param in nvc.get_command(None, command).params for name in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known
