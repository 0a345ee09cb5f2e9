"""The rules of the house: which module may import which, and what works without the rest."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from nvc_samples import FRAMES, tiny_nvc

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "nvcodec"

LAYER_1 = {"errors", "limits", "jit", "threads", "video", "metrics"}
LAYER_2 = {"bitstream", "entropy", "models", "media", "planning"}
ALL = LAYER_1 | LAYER_2 | {"decode", "training", "encode", "api"}
ALLOWED = {
    **{name: set() for name in LAYER_1},
    "bitstream": LAYER_1,
    "entropy": LAYER_1 | {"bitstream.fields", "models.integer"},
    "models": LAYER_1,
    "media": LAYER_1,
    "planning": LAYER_1,
    "decode": LAYER_1 | {"bitstream", "entropy", "models", "media.color"},
    "training": LAYER_1 | LAYER_2,
    "encode": LAYER_1 | LAYER_2 | {"decode", "training", "__init__"},
    "api": ALL,
    "bench": ALL | {"__init__"},
    "cli": ALL | {"bench", "__init__"},
    "__init__": ALL,
    "__main__": {"cli"},
}
BY_NAME = {"import_module", "find_spec", "__import__"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    """Full names of everything that a module imports, at its top, within functions, or for type checking only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if is_module(name) else node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in BY_NAME:
            found.update(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return found


def is_module(name):
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def ours(path):
    """The same, of this package only, without its name; the package itself is __init__."""
    names = {name for name in imports(path) if name.split(".")[0] == "nvcodec"}
    return {name.partition(".")[2] or "__init__" for name in names}


def part(path):
    """The subpackage or module of the top level that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def broken(path, allowed):
    """Imports that are neither of the file's own part nor in `allowed`, by prefix."""
    fine = allowed | {part(path)}
    return {name for name in ours(path) if not any(name == a or name.startswith(f"{a}.") for a in fine)}


def identify(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_layers(path):
    assert not broken(path, ALLOWED[part(path)])


def test_the_rule_can_fail():
    assert broken(PACKAGE / "encode/encoder.py", ALLOWED["decode"])
    assert broken(PACKAGE / "decode/decoder.py", ALLOWED["entropy"])
    assert broken(PACKAGE / "cli/info.py", ALLOWED["bitstream"])


def test_nothing_imports_the_tools_or_tests():
    for path in MODULES:
        assert not {name.split(".")[0] for name in imports(path)} & {"tools", "tests"}


@pytest.mark.parametrize("path", sorted((PACKAGE / "bitstream").glob("*.py")), ids=identify)
def test_bitstream_is_standard_library(path):
    foreign = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"nvcodec"}
    assert not foreign


def test_only_one_module_knows_torchac():
    assert [identify(path) for path in MODULES if "torchac" in {n.split(".")[0] for n in imports(path)}] == [
        "entropy/arithmetic.py"
    ]


def test_only_media_knows_av():
    """And the codecs that ours is compared with."""
    found = {path.relative_to(PACKAGE) for path in MODULES if "av" in {n.split(".")[0] for n in imports(path)}}
    others = {Path("bench/codecs/libav.py"), Path("bench/codecs/libav_work.py")}
    assert {path.parts[0] for path in found - others} == {"media"}


def test_measuring_is_not_needed():
    """Nothing but the command line knows of it, and that only when asked."""
    users = {part(path) for path in MODULES if any(name.split(".")[0] == "bench" for name in ours(path))}
    assert users == {"bench", "cli"}


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in {names!r}):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def run_blocked(names, code, *arguments):
    """A Python of its own where `names` cannot be imported."""
    script = BLOCK.format(names=tuple(names)) + code
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT
    )


MAIN = "from nvcodec.cli.main import main\nsys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("layers") / "tiny.nvc"
    path.write_bytes(tiny_nvc()[0])
    return path


def test_the_block_blocks(tiny):
    result = run_blocked(["torch"], MAIN, "decode", tiny, "md5:-")
    assert result.returncode == 1 and "torch is blocked" in result.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_needs_no_torch(tiny, options):
    heavy = ["torch", "numpy", "av", "torchac", "zstandard", "nvcodec.decode", "nvcodec.encode", "nvcodec.training"]
    result = run_blocked(heavy, MAIN, "info", *options, tiny)
    assert result.returncode == 0, result.stderr
    assert "nirvana" in result.stdout


def test_decode_needs_no_encoder(tiny):
    encoder = ["nvcodec.training", "nvcodec.encode", "nvcodec.planning"]
    result = run_blocked(encoder, MAIN, "decode", tiny, "md5:-", "--verify")
    assert result.returncode == 0, result.stderr
    assert f"total {FRAMES} " in result.stdout


def test_the_library_decodes_without_files_of_video(tiny):
    """Frames come without PyAV, the sinks and the encoder."""
    code = "import nvcodec\nprint(sum(1 for frame in nvcodec.decode(sys.argv[1])))"
    result = run_blocked(["av", "nvcodec.encode", "nvcodec.training", "nvcodec.planning", "nvcodec.cli"], code, tiny)
    assert result.stdout.strip() == str(FRAMES), result.stderr


def test_import_costs_nothing():
    code = "import nvcodec\nprint(sorted({'torch', 'numpy', 'av', 'click'} & set(sys.modules)))"
    assert run_blocked([], code).stdout.strip() == "[]"
