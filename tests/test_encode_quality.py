"""Which quality the groups of coded frames have: against a codec that follows a law, without coding anything."""

from itertools import pairwise

import numpy as np
import pytest
from layout_samples import planned

from nvcodec.bitstream.frames import QUALITIES
from nvcodec.encode.layout import census
from nvcodec.encode.plan import decide, divide
from nvcodec.encode.quality_control import BITS_SLOPE, INTRA_COST, MOST_TURN, SLACK, QualityControl, next_quality
from nvcodec.encode.settings import EncodeSettings
from nvcodec.training.frames import DEFAULT_LAMBDA, FINEST_LAMBDA, lambda_of, quality_of
from nvcodec.video import VideoInfo

INFO = VideoInfo(320, 180)
PIXELS = 320 * 180
OVERHEAD = 150  # bytes
GROUP = 16


def decided(frames, **settings):
    """frames: None for a stream."""
    how = EncodeSettings(model="mc", **settings)
    if frames is not None:
        return decide(how, INFO, *planned(how, INFO, frames))
    return decide(how, INFO, divide(how, INFO, None)[0], None)


class Codec:
    """Bytes of groups by the law that the control takes for granted, or by a steeper or a dearer one."""

    def __init__(self, slope=BITS_SLOPE, intra=INTRA_COST, spread=0.0, cost=60_000.0):
        self.slope, self.intra, self.spread, self.cost = slope, intra, spread, cost
        self.random = np.random.default_rng(3)

    def size(self, frames, fresh, quality):
        bits = self.cost * (frames + self.intra * fresh) * 2 ** (-self.slope * quality / 16)
        return round(bits * np.exp(self.random.normal(0, self.spread)) / 8)


def coded(codec, decision, groups, guess=1.0):
    """(bits per pixel of the whole file, qualities). guess: how far the first guess is off."""
    control = QualityControl(decision, PIXELS, None, OVERHEAD)
    keyint = decision.census.groups // decision.census.fresh
    size, qualities = OVERHEAD, []
    for number, frames in enumerate(groups):
        fresh = number % keyint == 0
        if control.asks:
            control.learn(guess * 8 * codec.size(frames, fresh, 20), frames, fresh, 20)
        qualities.append(control.quality())
        size += codec.size(frames, fresh, qualities[-1])
        control.account(codec.size(frames, fresh, qualities[-1]), frames, fresh, qualities[-1])
    return 8 * size / (sum(groups) * PIXELS), qualities


@pytest.mark.parametrize("bpp", [0.05, 0.2, 0.6])
@pytest.mark.parametrize(("frames", "keyint"), [(33, 0), (160, 0), (160, 3), (320, 1)])
def test_a_rate_is_met_where_the_law_holds(bpp, frames, keyint):
    decision = decided(frames, bpp=bpp, keyint=keyint)
    groups = [unit[0] for unit in decision.layout.units]
    found, qualities = coded(Codec(), decision, groups)
    assert found == pytest.approx(bpp, rel=0.03)
    assert max(qualities) - min(qualities[:-1]) <= 2, "one quality for all"


@pytest.mark.parametrize("law", [{"slope": 0.7}, {"slope": 1.9}, {"intra": 30.0}, {"intra": 0.0}, {"spread": 0.25}])
@pytest.mark.parametrize("guess", [0.5, 1.0, 2.0])
def test_a_rate_is_met_where_the_law_is_another(law, guess):
    for keyint in (0, 5):
        decision = decided(25 * GROUP, bpp=0.2, keyint=keyint)
        found, qualities = coded(Codec(**law), decision, [GROUP] * 25, guess)
        assert found == pytest.approx(0.2, rel=0.1 if "spread" in law else 0.05)
        assert all(abs(a - b) <= MOST_TURN for a, b in pairwise(qualities))


def test_groups_of_both_kinds_have_one_quality_once_both_were_seen():
    """A random-access group is far dearer than was thought: neither kind makes the other one pay."""
    decision = decided(30 * GROUP, bpp=0.2, keyint=5)
    qualities = coded(Codec(intra=40.0), decision, [GROUP] * 30)[1]
    assert max(qualities[12:28]) - min(qualities[12:28]) <= 1


@pytest.mark.parametrize("keyint", [0, 4])
def test_a_stream_of_unknown_length_keeps_its_rate(keyint):
    decision = decided(None, bpp=0.2, keyint=keyint)
    assert decision.frames is None
    for groups in (40, 150):
        assert coded(Codec(slope=1.0, intra=12.0, spread=0.2), decision, [GROUP] * groups, 1.5)[0] == pytest.approx(
            0.2, rel=0.08
        )


def test_bytes_before_the_groups_count():
    decision = decided(160, bpp=0.05)
    qualities = []
    for overhead in (0, 20_000):  # of 57,600
        control = QualityControl(decision, PIXELS, None, overhead)
        control.learn(1e5, GROUP, True, 20)
        qualities.append(control.quality())
    assert qualities[1] > qualities[0]


def test_what_is_spent_too_much_is_saved_later():
    decision = decided(160, bpp=0.2)
    after = []
    for size in (20_000, 60_000):
        control = QualityControl(decision, PIXELS, None, OVERHEAD)
        control.account(size, GROUP, True, 20)
        after.append(control.quality())
    assert after[1] > after[0]
    control.account(10**7, GROUP, False, 20)
    assert control.quality() == 20 + MOST_TURN, "nothing is left"


@pytest.mark.parametrize(("lam", "quality"), [(0.0, 0), (FINEST_LAMBDA, 0), (lambda_of(30), 30), (1.0, QUALITIES - 1)])
def test_a_lambda_is_a_quality(lam, quality):
    control = QualityControl(decided(160, lam=lam), PIXELS, lam, OVERHEAD)
    assert not control.asks and control.quality() == quality
    control.account(10**6, GROUP, True, quality)
    assert control.quality() == quality, "whatever it costs"


def test_a_quality_is_known_from_its_lambda():
    """The report of a group has the lambda; an encode that goes on needs the quality."""
    assert [round(quality_of(lambda_of(q))) for q in range(QUALITIES)] == list(range(QUALITIES))
    assert lambda_of(quality_of(None)) == pytest.approx(DEFAULT_LAMBDA)
    assert lambda_of(16) == pytest.approx(4 * lambda_of(0)), "twice the step"


def searched(curve, target, start):
    """The PSNR of each quality that was tried, in order."""
    tried = {}
    quality = start
    while quality is not None:
        assert quality not in tried and 0 <= quality < QUALITIES
        tried[quality] = curve(quality)
        quality = next_quality(tried, target)
    return tried


@pytest.mark.parametrize("start", [0, 40, QUALITIES - 1])
@pytest.mark.parametrize("worth", [0.05, 0.28, 0.6])
@pytest.mark.parametrize("bend", [0.0, 0.0025])
def test_a_psnr_is_reached_by_the_coarsest_quality(start, worth, bend):
    def curve(quality):
        return 40 - worth * quality - bend * quality**2

    for wanted in (3, 20, 47, 60):
        target = curve(wanted) - worth / 2
        tried = searched(curve, target, start)
        best = max(q for q, psnr in tried.items() if psnr >= target)
        assert tried[best] - target < max(SLACK, worth + 2 * bend * QUALITIES)
        assert len(tried) <= 7


def test_trials_tell_how_fast_bits_fall():
    """Two of them, and the first group has its share under a law that is flatter than the one assumed."""
    codec, decision = Codec(slope=0.6), decided(GROUP, bpp=0.3)
    control = QualityControl(decision, PIXELS, None, OVERHEAD)
    misses = []
    quality = 10
    for _ in range(3):
        bits = 8 * codec.size(GROUP, True, quality)
        control.learn(bits, GROUP, True, quality)
        misses.append(control.missed(bits, GROUP, True))
        quality = control.quality()
    assert misses[0] > 1 and misses[1] > 0.2 and misses[2] < 0.03


def test_a_miss_counts_by_what_is_left():
    """Twice its share is all of a file of one group, and a twentieth of one of twenty or so."""
    found = []
    for groups in (1, 20):
        control = QualityControl(decided(groups * GROUP, bpp=0.2, keyint=1), PIXELS, None, 0)
        control.learn(1e5, GROUP, True, 20)
        found.append(control.missed(2 * 0.2 * GROUP * PIXELS, GROUP, True))
    assert found == pytest.approx([1.0, 1 / 20], rel=0.05)


def test_only_what_was_written_counts_once_a_group_is():
    """An encode that goes on has no trials to learn from, and goes on the same way."""
    after = []
    for trials in ((), ((3e6, 5), (1e5, 40))):
        control = QualityControl(decided(160, bpp=0.2), PIXELS, None, OVERHEAD)
        for bits, quality in trials:
            control.learn(bits, GROUP, True, quality)
        for number, size in enumerate((30_000, 9_000, 20_000)):
            control.account(size, GROUP, number == 0, 20)
        after.append((control.quality(), control._left()))
    assert after[0] == after[1]


def test_a_psnr_beyond_all_qualities():
    assert list(searched(lambda q: 30 - q / 4, 50, 0)) == [0]
    assert 0 in searched(lambda q: 30 - q / 4, 50, 24)
    assert QUALITIES - 1 in searched(lambda q: 30 - q / 4, 5, 24)


def test_a_psnr_that_does_not_follow_the_quality_ends_too():
    random = np.random.default_rng(1)
    for _ in range(50):
        psnr = random.normal(30, 2, QUALITIES)
        assert len(searched(psnr.__getitem__, 30.0, 24)) < QUALITIES


def test_the_census_of_a_stream_has_random_access_groups():
    """What the control takes the next groups of a stream for."""
    how = EncodeSettings(model="mc", keyint=4)
    found = census(how, None, divide(how, INFO, None)[0])
    assert (found.groups, found.fresh) == (32, 8)
