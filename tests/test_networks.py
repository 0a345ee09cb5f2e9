"""What the encoder knows of each backbone: presets, options, sizes; and that a decision is a network."""

from fractions import Fraction

import pytest
from layout_samples import planned

from nvcodec.bitstream.registry import MODELS
from nvcodec.encode.networks import NETWORKS, network_for, network_named
from nvcodec.encode.plan import FOR_WEIGHTS, build_frame_model, build_model, decide, divide
from nvcodec.encode.settings import NETWORK_OPTIONS, EncodeSettings
from nvcodec.errors import UsageError
from nvcodec.models import priors
from nvcodec.models.mc import McConfig
from nvcodec.training.presets import PRESETS
from nvcodec.video import Chroma, VideoInfo

INFO = VideoInfo(320, 180, rate=Fraction(24))
NAMES = sorted(NETWORKS)
FITTED = sorted(name for name in NETWORKS if not NETWORKS[name].frames)  # their weights are


def decided(settings, frames, info=INFO):
    """For a video of `frames` frames in one scene."""
    return decide(settings, info, *planned(settings, info, frames))


def test_every_model_of_the_registry_is_known():
    assert set(NETWORKS) == {entry.name for entry in MODELS.values()}
    with pytest.raises(UsageError, match="nirvana"):
        network_named("nerf")


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_one_axis(name):
    trainings = [NETWORKS[name].training(preset) for preset in PRESETS]
    for kind in ("first", "next", "network"):
        steps = [getattr(t, f"steps_{kind}") for t in trainings]
        assert steps == sorted(steps)


@pytest.mark.parametrize("name", FITTED)
def test_one_preset_is_that_of_a_paper(name):
    trainings = [NETWORKS[name].training(preset) for preset in PRESETS]
    assert [t.published for t in trainings] == [False] * 4 + [True]
    assert trainings[-1].rate_first == 5e-4, "of both papers"


def test_the_papers_nirvana():
    network = NETWORKS["nirvana"]
    decision = decided(EncodeSettings(model="nirvana", preset="paper"), 9)
    assert list(decision.values) == [32, 3, 512, 5, 16, 16, 30, 1] and not decision.sized
    paper = network.training("paper")
    assert (paper.steps_first, paper.steps_next, paper.lam) == (16000, 2000, 1e-4)


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_decision_is_a_network(name, preset):
    decision = decided(EncodeSettings(model=name, preset=preset), 100)
    model, record = build_model(EncodeSettings(model=name), decision, INFO)
    assert record.parameters == decision.size.total == sum(t.size for t in model.tensors)
    assert decision.config == record.settings and decision.group == record.settings["group"]
    assert 0 < decision.size.moving <= decision.size.total


@pytest.mark.parametrize("name", FITTED)
def test_parameters_are_the_most_that_there_may_be(name):
    sizes = []
    for most in (30_000, 60_000):
        settings = EncodeSettings(model=name, parameters=most)
        decision = decided(settings, 50)
        wider = decided(EncodeSettings(model=name, width=decision.width + 1), 50)
        assert decision.size.total <= most < wider.size.total and not decision.sized
        sizes.append(decision.size.total)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", FITTED)
def test_a_rate_decides_the_width(name):
    widths = [decided(EncodeSettings(model=name, bpp=bpp), 120).width for bpp in (0.1, 0.3, 1.0)]
    assert widths == sorted(set(widths))
    assert decided(EncodeSettings(model=name), 120).sized


@pytest.mark.parametrize("name", FITTED)
def test_what_groups_may_share(name):
    """Quantised tensors that are not of single frames; sizes count them."""
    for conv in ("quantised", "float") if name == "nirvana" else (None,):
        settings = EncodeSettings(model=name, conv=conv, share=0.5, width=8)
        decision = decided(settings, 100)
        model, _ = build_model(settings, decision, INFO)
        kept = {t.name for t in model.tensors if not NETWORKS[name].shares(t)}
        convolutions = {"block.weight", "block.bias", "head.weight", "head.bias"} if conv == "float" else set()
        assert kept == ({"embedding"} & {t.name for t in model.tensors}) | convolutions
        assert decision.size.shareable == sum(t.size for t in model.tensors if t.name not in kept)


@pytest.mark.parametrize("name", NAMES)
def test_options_that_a_model_does_not_have(name):
    values = {
        "patch": 8,
        "chunk": 1.0,
        "depth": 2,
        "channels": 4,
        "block_channels": 4,
        "conv": "float",
        "steps_network": 5,
    }
    assert tuple(values) == NETWORK_OPTIONS
    for option, value in values.items():
        settings = EncodeSettings(model=name, **{option: value})
        if option in NETWORKS[name].options:
            assert divide(settings, INFO, 9)
        else:
            those = {"chunk": "nerv, hnerv or enerv", "steps_network": "mc"}.get(option, "nirvana")
            words = f"^{name} has no option --{option.replace('_', '-')}; choose --model {those} for it$"
            with pytest.raises(UsageError, match=words):
                divide(settings, INFO, 9)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("rate", [{"bpp": 0.05}, {"psnr": 40.0}, {"lam": 0.01}, {}])
def test_mc_is_one_network(preset, rate):
    """That of its prior, whatever the rate."""
    settings = EncodeSettings(model="mc", preset=preset, **rate)
    decision = decided(settings, 100)
    model, record = build_frame_model(settings, decision, INFO)
    assert decision.values == (16, *McConfig().values[1:]) == record.config and not decision.sized
    assert record.settings["width"] == decision.width == 32 and record.settings["intra_width"] == 64
    assert decision.size.total == sum(t.size for t in model.tensors) and decision.size.moving == 0
    assert priors.load(record.prior, model.tensors), "it has these tensors"
    assert decision.layout.units == [(16,)] * 6 + [(4,)] and decision.census.fresh == 1
    assert decided(EncodeSettings(model="mc", group=7), 100).config["group"] == 7


def test_options_of_fitted_weights_are_not_of_mc():
    values = {"width": 32, "parameters": 1000, "prune": 0.5, "share": 0.0, "monolithic": True}
    assert tuple(values) == FOR_WEIGHTS
    for option, value in values.items():
        settings = EncodeSettings(model="mc", **{option: value})
        words = f"^mc has no option --{option}; choose --model nirvana, nerv, hnerv or enerv for it$"
        with pytest.raises(UsageError, match=words):
            divide(settings, INFO, 9)


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("chroma", Chroma)
def test_the_default_is_mc_where_it_has_the_pixel_format(chroma, depth):
    info = VideoInfo(32, 32, depth, chroma)
    expected = "mc" if chroma in (Chroma.GRAY, Chroma.C420) else "nirvana"
    assert network_for(None, info).name == expected and network_for("nerv", info).name == "nerv"
    decision = decided(EncodeSettings(), 20, info)
    assert decision.network.name == expected
    build = build_frame_model if expected == "mc" else build_model
    assert build(EncodeSettings(), decision, info)[1].name == expected


def test_options_that_the_default_does_not_have():
    """The error says that the model was not asked for, and which to ask for."""
    rgb = VideoInfo(32, 32, chroma=Chroma.C444)
    for info, asked, words in (
        (INFO, {"patch": 8}, "mc, the default for this video, has no option --patch; choose --model nirvana for it"),
        (INFO, {"share": 0.5}, "mc, the .* --share; choose --model nirvana, nerv, hnerv or enerv for it"),
        (rgb, {"chunk": 1.0}, "nirvana, the .* --chunk; choose --model nerv, hnerv or enerv for it"),
    ):
        with pytest.raises(UsageError, match=f"^{words}$"):
            divide(EncodeSettings(**asked), info, 9)
    assert divide(EncodeSettings(patch=8), rgb, 9) and divide(EncodeSettings(keyint=2, steps_first=3), INFO, 9)


def test_settings_that_say_the_same_twice():
    for pair in ({"group": 3, "chunk": 1.0}, {"width": 8, "parameters": 100}):
        with pytest.raises(UsageError, match="one of them"):
            EncodeSettings(**pair)


def test_a_group_that_is_asked_for_does_not_follow_the_length():
    """Chains of one encode have one network, however short the last of them is."""
    assert decided(EncodeSettings(group=6), 5).group == 6
    assert decided(EncodeSettings(), 5).group == 5
    with pytest.raises(UsageError, match="at most 64"):
        divide(EncodeSettings(group=65), VideoInfo(3840, 2160), 100)
    assert decided(EncodeSettings(), 100, VideoInfo(8192, 8192)).group == 8, "that of the model would be too large"
