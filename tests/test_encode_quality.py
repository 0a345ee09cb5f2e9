"""Which quality the groups of coded frames have: against a codec that follows a law, without coding anything."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from layout_samples import planned

from nvcodec.bitstream.frames import QUALITIES, CodedFrame, FramesSection
from nvcodec.encode.frame_chain import FITTED, TRIALS, guess, intra_frames, to_rate
from nvcodec.encode.layout import census
from nvcodec.encode.plan import decide, divide
from nvcodec.encode.qualities import FINEST
from nvcodec.encode.quality_control import MOST_TURN, SLACK, QualityControl, next_quality
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
    """Groups of about as many bytes as mc made of clips of 320 x 180.

    worth: inter frames that an intra frame costs as much as, at quality 30: 5 to 40. slopes: octaves of bits per octave
    of steps, of intra and of inter frames: 0.6 to 1.1 and 0.8 to 1.4. inter: bits of an inter frame at quality 30.
    walk: how much, logarithmically, groups differ from those before. grows: what inter frames of later groups cost over
    those of the first one. alone: octaves more for a group that is finer than the one before, 0 to 1.2: it pays for
    what that one lacks. jitter: how much a group does not follow the law. cuts: groups with one intra frame more.
    """

    def __init__(
        self, worth=16, slopes=(0.8, 1.1), inter=6000, walk=0.0, grows=1.0, alone=0.5, jitter=0.0, cuts=(), seed=0
    ):
        self.worth, self.slopes, self.inter, self.jitter, self.cuts = worth, slopes, inter, jitter, cuts
        self.alone, self.before = alone, 0
        self.random = np.random.default_rng(seed)
        levels = [0.0]
        for step in self.random.normal(0, walk, 400):
            levels.append(0.9 * levels[-1] + step)
        self.levels = np.exp(levels)
        self.levels[1:] *= grows

    def group(self, number, frames, fresh, quality):
        """What `fitted` returns, as far as it counts."""
        alone = fresh + (number in self.cuts)
        steps = (max(quality, 0), quality)
        intra, inter = (2 ** (-slope * (step - 30) / 16) for slope, step in zip(self.slopes, steps, strict=True))
        per_inter = self.inter * self.levels[number]
        if not fresh:
            per_inter *= 2 ** (self.alone * (self.before - quality) / 16)
        bits = alone * self.inter * self.worth * intra + (frames - alone) * per_inter * inter
        size = 80 + round(bits * np.exp(self.random.normal(0, self.jitter)) / 8)
        return coded(frames, fresh, quality, size, alone)


def coded(frames, fresh, quality, size, intra=None):
    """A group. intra: how many intra frames it has."""
    section = FramesSection(
        max(quality, 0), (), tuple(CodedFrame(n < (fresh if intra is None else intra)) for n in range(frames)), (b"",)
    )
    report = SimpleNamespace(size=size, frames=frames, random_access=fresh, lam=lambda_of(quality))
    return SimpleNamespace(
        report=report, record=SimpleNamespace(section=lambda kind: section.pack(), frame_count=frames)
    )


def encoded(codec, decision, groups=None, keyint=0):
    """(bits per pixel of the whole file, qualities of the groups, how often each one was tried).

    groups: of a stream.
    """
    lengths = [GROUP] * groups if groups else [unit[0] for unit in decision.layout.units]
    control = QualityControl(decision, PIXELS, None, OVERHEAD)
    guess(lambda some, q: codec.group(0, len(some), True, q).report.size / FITTED, range(lengths[0]), control)
    size, qualities, tries = OVERHEAD, [], []
    for number, frames in enumerate(lengths):
        fresh = number % keyint == 0 if keyint else number == 0
        tries.append(0)

        def fitted(quality, number=number, frames=frames, fresh=fresh):
            tries[-1] += 1
            return codec.group(number, frames, fresh, quality)

        found = to_rate(fitted, control)
        control.account(found.report, intra_frames(found.record))
        size += found.report.size
        codec.before = round(quality_of(found.report.lam))
        qualities.append(codec.before)
    return 8 * size / (sum(lengths) * PIXELS), qualities, tries


LENGTHS = [(GROUP, 0), (33, 0), (48, 0), (97, 0), (160, 3), (161, 1), (480, 0), (480, 5)]


@pytest.mark.parametrize("bpp", [0.05, 0.15, 0.4])
@pytest.mark.parametrize(("frames", "keyint"), LENGTHS)
def test_a_rate_is_met_where_content_stays(bpp, frames, keyint):
    """With one quality, but for what is found out about slopes on the way, and few trials."""
    found, qualities, tries = encoded(Codec(), decided(frames, bpp=bpp, keyint=keyint), keyint=keyint)
    assert found == pytest.approx(bpp, rel=0.03 if frames == GROUP else 0.02)
    whole = qualities[: max(1, frames // GROUP)]
    assert max(whole) - min(whole) <= 3
    assert sum(tries) <= len(tries) + 1


@pytest.mark.parametrize("worth", [5, 16, 40])
@pytest.mark.parametrize("slopes", [(0.8, 1.1), (0.6, 1.4), (1.0, 0.8)])
@pytest.mark.parametrize(("frames", "keyint"), LENGTHS)
def test_a_rate_is_met_on_all_kinds_of_clips(worth, slopes, frames, keyint):
    decision = decided(frames, bpp=0.15, keyint=keyint)
    off, tried, first = [], [], []
    for seed in range(3):
        codec = Codec(worth, slopes, walk=0.15, alone=0.6 * seed, jitter=0.01, seed=seed)
        found, _, tries = encoded(codec, decision, keyint=keyint)
        off.append(abs(found / 0.15 - 1))
        tried.append(sum(tries) / len(tries))
        first.append(tries[0])
        assert max(tries) <= TRIALS
    assert max(off) < 0.05 and np.median(off) < (0.035 if frames == GROUP else 0.021)
    assert np.mean(first) <= 3 and np.mean(tried) < {1: 3.1, 3: 2.5}.get(len(tries), 1.6)


@pytest.mark.parametrize("worth", [5, 40])
@pytest.mark.parametrize("grows", [0.5, 1.0, 2.0])
def test_random_access_groups_do_not_make_others_pay(worth, grows):
    """Also where the first group told little of the others."""
    found, qualities, _ = encoded(Codec(worth, grows=grows), decided(40 * GROUP, bpp=0.2, keyint=5), keyint=5)
    assert found == pytest.approx(0.2, rel=0.02)
    assert max(qualities[10:]) - min(qualities[10:]) <= 2


def test_what_is_left_in_the_end_is_not_worth_a_change():
    changes = []
    for seed in range(10):
        qualities = encoded(Codec(walk=0.1, seed=seed), decided(40 * GROUP, bpp=0.2))[1]
        changes.append(abs(qualities[-1] - qualities[-2]))
    assert np.mean(changes) < 1.5


@pytest.mark.parametrize("worth", [5, 16, 100])
def test_a_cut_is_no_sign_of_what_comes(worth):
    """The groups after it go on as those before, but for what it cost, which all of them pay."""
    plain, cut = (encoded(Codec(worth, cuts=cuts), decided(60 * GROUP, bpp=0.2)) for cuts in ((), (20,)))
    assert cut[0] == pytest.approx(0.2, rel=0.02)
    dearer = np.array(cut[1]) - plain[1]
    assert not dearer[:20].any() and max(dearer) <= 2 + worth / 20
    assert max(abs(a - b) for a, b in pairwise(cut[1][19:])) <= 3
    assert sum(cut[2]) <= 60 + 3


@pytest.mark.parametrize("worth", [16, 40])
def test_a_short_file_pays_for_its_cuts_at_once(worth):
    found, qualities, tries = encoded(Codec(worth, cuts=(2,)), decided(96, bpp=0.2))
    assert found == pytest.approx(0.2, rel=0.02) and sum(tries) <= 10
    assert max(qualities[2:]) - min(qualities[2:]) <= 4


@pytest.mark.parametrize("keyint", [0, 4])
def test_a_stream_of_unknown_length_keeps_its_rate(keyint):
    decision = decided(None, bpp=0.2, keyint=keyint)
    assert decision.frames is None
    for groups in (40, 150):
        codec = Codec(worth=12, slopes=(0.7, 1.3), walk=0.1)
        codec.levels[groups // 2 :] *= 3
        found, _, tries = encoded(codec, decision, groups, keyint)
        assert found == pytest.approx(0.2, rel=0.05)
        assert sum(tries) < 1.1 * groups


@pytest.mark.parametrize(("bpp", "quality"), [(0.001, QUALITIES - 1), (20.0, FINEST)])
@pytest.mark.parametrize("frames", [GROUP, 160])
def test_a_rate_out_of_reach(bpp, quality, frames):
    """What comes nearest, without trying in vain."""
    for worth in (5, 40):
        _, qualities, tries = encoded(Codec(worth), decided(frames, bpp=bpp))
        assert set(qualities) == {quality} and set(tries) == {1}


def test_a_group_is_tried_again_where_no_other_makes_up_for_it():
    """A quarter too much is all of a file of one group, and little of one of twenty."""
    tried = []
    for groups in (1, 20):
        control = QualityControl(decided(groups * GROUP, bpp=0.2, keyint=1), PIXELS, None, 0)
        control.guess(30, 1e5, 1e4)
        size = round(1.25 * 0.2 * GROUP * PIXELS / 8)
        off, better = control.better(coded(GROUP, True, 30, size).report, 1)
        tried.append(better)
        assert (off > 0.2) == (groups == 1)
    assert 34 <= tried[0] <= 36, "a third of an octave"
    assert tried[1] > 30, "all would be as dear: not yet known better"
    control.account(coded(GROUP, True, 30, size * 4 // 5).report, 1)
    assert control.better(coded(GROUP, True, 30, size).report, 1)[1] == 30


def test_bytes_before_the_groups_count():
    decision = decided(160, bpp=0.05)
    qualities = []
    for overhead in (0, 20_000):  # of 57,600
        control = QualityControl(decision, PIXELS, None, overhead)
        control.guess(20, 1e5, 5e3)
        qualities.append(control.quality())
    assert qualities[1] > qualities[0]


def test_what_is_spent_too_much_is_saved_later():
    decision = decided(160, bpp=0.2)
    after = []
    for size in (20_000, 60_000):
        control = QualityControl(decision, PIXELS, None, OVERHEAD)
        control.guess(20, 1e5, 5e3)
        control.account(coded(GROUP, True, 20, size).report, 1)
        after.append(control.quality())
    assert after[1] > after[0]
    control.account(coded(GROUP, False, 20, 10**7).report, 0)
    assert control.quality() == 20 + MOST_TURN, "nothing is left"


def test_a_dear_intra_frame_says_little_of_other_frames():
    control = QualityControl(decided(640, bpp=0.1), PIXELS, None, OVERHEAD)
    control.guess(20, 1e5, 6e3)
    for size, intra in ((24_000, 1), (12_000, 0), (12_000, 0)):
        control.account(coded(GROUP, bool(intra), 20, size).report, intra)
    before = control.quality()
    control.account(coded(GROUP, False, before, 60_000).report, 1)
    assert before < control.quality() <= before + 3, "but is paid for"


@pytest.mark.parametrize("bpp", [0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
def test_of_one_group_the_nearest_quality_is_found(bpp):
    """Also where bits fall half again as fast as they are believed to."""
    codec, decision = Codec(slopes=(1.2, 1.7)), decided(GROUP, bpp=bpp)
    found, (quality,), (tries,) = encoded(codec, decision)
    wanted = bpp * GROUP * PIXELS / 8 - OVERHEAD - 64
    near = {q: codec.group(0, GROUP, True, q).report.size - wanted for q in range(FINEST, QUALITIES)}
    assert abs(near[quality]) < 1.2 * min(map(abs, near.values())) + 0.02 * bpp * GROUP * PIXELS / 8
    assert tries <= TRIALS


def test_trials_leave_no_trace():
    """An encode that goes on has none to learn from, and goes on the same way."""
    after = []
    for trials in ((), ((400_000, 5), (12_000, 40))):
        control = QualityControl(decided(160, bpp=0.2), PIXELS, None, OVERHEAD)
        control.guess(20, 1e5, 5e3)
        for size, quality in trials:
            control.better(coded(GROUP, True, quality, size).report, 1)
        for number, size in enumerate((30_000, 9_000, 20_000)):
            control.account(coded(GROUP, number == 0, 20, size).report, number == 0)
        after.append((control.quality(), control.better(coded(GROUP, False, 25, 9_000).report, 0)))
    assert after[0] == after[1]


@pytest.mark.parametrize(
    ("lam", "quality"),
    [(0.0, FINEST), (lambda_of(-7), -7), (FINEST_LAMBDA, 0), (lambda_of(30), 30), (1.0, QUALITIES - 1)],
)
def test_a_lambda_is_a_quality(lam, quality):
    control = QualityControl(decided(160, lam=lam), PIXELS, lam, OVERHEAD)
    assert control.quality() == quality
    control.account(coded(GROUP, True, quality, 10**6).report, 1)
    assert control.quality() == quality, "whatever it costs"


def test_a_quality_is_known_from_its_lambda():
    """The report of a group has the lambda; an encode that goes on needs the quality."""
    assert [round(quality_of(lambda_of(q))) for q in range(FINEST, QUALITIES)] == list(range(FINEST, QUALITIES))
    assert lambda_of(quality_of(None)) == pytest.approx(DEFAULT_LAMBDA)
    assert lambda_of(16) == pytest.approx(4 * lambda_of(0)), "twice the step"


def searched(curve, target, start):
    """The PSNR of each quality that was tried, in order."""
    tried = {}
    quality = start
    while quality is not None:
        assert quality not in tried and FINEST <= quality < QUALITIES
        tried[quality] = curve(quality)
        quality = next_quality(tried, target)
    return tried


@pytest.mark.parametrize("start", [0, 40, QUALITIES - 1])
@pytest.mark.parametrize("worth", [0.05, 0.28, 0.6])
@pytest.mark.parametrize("bend", [0.0, 0.0025])
def test_a_psnr_is_reached_by_the_coarsest_quality(start, worth, bend):
    def curve(quality):
        return 40 - worth * quality - bend * (quality - FINEST) ** 2

    for wanted in (3, 20, 47, 60):
        target = curve(wanted) - worth / 2
        tried = searched(curve, target, start)
        best = max(q for q, psnr in tried.items() if psnr >= target)
        assert tried[best] - target < max(SLACK, worth + 2 * bend * (QUALITIES - FINEST))
        assert len(tried) <= 9


def test_a_psnr_beyond_all_qualities():
    assert list(searched(lambda q: 30 - q / 4, 50, FINEST)) == [FINEST]
    assert FINEST in searched(lambda q: 30 - q / 4, 50, 24)
    assert QUALITIES - 1 in searched(lambda q: 30 - q / 4, 5, 24)


def test_a_psnr_that_does_not_follow_the_quality_ends_too():
    random = np.random.default_rng(1)
    for _ in range(50):
        psnr = random.normal(30, 2, QUALITIES - FINEST)
        assert len(searched(psnr.__getitem__, 30.0, 24)) < QUALITIES


def test_the_census_of_a_stream_has_random_access_groups():
    """What the control takes the next groups of a stream for."""
    how = EncodeSettings(model="mc", keyint=4)
    found = census(how, None, divide(how, INFO, None)[0])
    assert (found.groups, found.fresh) == (32, 8)
