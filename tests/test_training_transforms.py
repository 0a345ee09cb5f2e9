"""Transforms that the linear ways begin as: what the analysis takes apart, the layers of the network put together."""

import pytest
import torch
from torch.nn import functional

from nvcodec.models.latents import LatentNetwork
from nvcodec.models.mc import McConfig
from nvcodec.training.analysis import IntraAnalysis
from nvcodec.training.prior import Prior
from nvcodec.training.transforms import GAINS, HAAR, direct, of_level

NETWORK = McConfig().network(True)
LEVELS = (5, 4, 3)
BELOW = {5: 4, 4: 3, 3: 2, 2: 1}
CHANNELS = {5: 12, 4: 12, 3: 96}  # of the transforms
PLANES = torch.tensor([0, 0, 0, 0, 1, 2])  # of the channels of a picture


def picture_at_random(height, width, seed=0):
    """(1, 6, height, width) in quarters of a code value."""
    return torch.rand(1, 6, height, width, generator=torch.Generator().manual_seed(seed)) * 1000 - 500


def latents_of(picture, network=NETWORK):
    """By the analysis before training, without what its network adds."""
    with torch.no_grad():
        return IntraAnalysis(network)(picture, torch.zeros(1))


def put_together(latents, layers, size):
    """A picture of that size from latents by the direct layers, by level, alone."""
    straight = None
    for level in (5, 4, 3, 2):
        total = latents.get(level, 0) + (0 if straight is None else straight)
        straight = functional.pixel_shuffle(functional.conv2d(total, layers[level], padding=1), 2)
        side = 2 ** (BELOW[level] - 1)
        straight = straight[:, :, : -(-size[0] // side), : -(-size[1] // side)]
    return straight


def layers_of(network=NETWORK):
    counts = {**network.latents, 2: 24, 1: 6}
    return {level: direct(level, counts[level], 4 * counts[below], level == 3) for level, below in BELOW.items()}


@pytest.mark.parametrize("size", [(16, 16), (64, 96), (8, 8), (24, 40), (40, 32), (72, 56)])
def test_a_picture_is_put_together_again(size):
    """Of cells of 16 luma samples; those of 32 are cut off where they are odd."""
    picture = picture_at_random(*size)
    latents = latents_of(picture)
    assert {level: tuple(v.shape[2:]) for level, v in latents.items()} == {
        level: tuple(-(-n // 2 ** (level - 1)) for n in size) for level in LEVELS
    }
    found = put_together(latents, layers_of(), size)
    assert found.shape == picture.shape and float((found - picture).abs().max()) < 1e-3


def test_the_layers_of_a_prior_begin_as_these():
    """So that a picture is put together again by an untrained prior."""
    prior = Prior(McConfig(), 3)
    layers = {level: prior.values[f"intra_direct{level}_weight"].detach() for level in (5, 4, 3, 2)}
    for level, layer in layers_of().items():
        assert torch.equal(layers[level], layer)
        assert not prior.values[f"intra_direct{level}_bias"].any()
    picture = picture_at_random(24, 40)
    with torch.no_grad():
        found = put_together(prior.analyses(picture, None, torch.zeros(1)), layers, (24, 40))
    assert float((found - picture).abs().max()) < 1e-3


def test_an_even_picture_is_of_the_coarsest_level_alone():
    """One value of each plane; finer levels have nothing to add."""
    picture = torch.tensor([200.0, 200.0, 200.0, 200.0, -120.0, 64.0]).view(1, 6, 1, 1).expand(1, 6, 32, 48)
    latents = latents_of(picture)
    assert float(latents[4].abs().max()) < 1e-2 and float(latents[3].abs().max()) < 1e-2
    means = latents[5][:, [0, 4, 8]]
    sizes = torch.tensor([8 * 200 * GAINS[0], 4 * -120 * GAINS[1], 4 * 64 * GAINS[2]]).view(1, 3, 1, 1)
    assert torch.allclose(means, sizes.expand_as(means), rtol=1e-4)
    others = [channel for channel in range(12) if channel not in (0, 4, 8)]
    assert float(latents[5][:, others].abs().max()) < 1e-2


def test_halves_that_differ_are_of_a_difference():
    """Of 32 x 32 luma samples, left and right."""
    picture = torch.full((1, 6, 16, 16), 100.0)
    picture[..., 8:] = -100.0
    latents = latents_of(picture)
    large = [channel for channel in range(12) if float(latents[5][0, channel].abs().max()) > 1]
    assert large == [1, 5, 9] and float(latents[4].abs().max()) < 1e-2 and float(latents[3].abs().max()) < 1e-2


def flat(blocks):
    return blocks.flatten(1).double()


def test_rows_of_the_finest_transform_are_orthonormal_but_for_their_gains():
    """There and back; a row is of one plane."""
    there, back = of_level(3, 96)
    assert there.shape == back.shape == (96, 6, 4, 4)
    planes = there.abs().sum((2, 3)) > 1e-9
    gains = []
    for row in planes:
        (plane,) = set(PLANES[row].tolist())
        gains.append(GAINS[plane])
    gains = torch.tensor(gains, dtype=torch.float64)
    assert [gains.tolist().count(gain) for gain in GAINS] == [64, 16, 16]
    eye = torch.eye(96, dtype=torch.float64)
    assert torch.allclose(flat(there) @ flat(there).T, torch.diag(gains**2), atol=1e-5)
    assert torch.allclose(flat(back) @ flat(back).T, torch.diag(gains**-2), atol=1e-5)
    assert torch.allclose(flat(there) @ flat(back).T, eye, atol=1e-5)
    assert torch.allclose(flat(back).T @ flat(there), eye, atol=1e-5), "nothing is lost"


def test_channels_of_the_finest_transform_go_from_means_to_details():
    """The means of the planes first, where the layers of the level above add to them."""
    there, _ = of_level(3, 96)
    for channel, plane in enumerate((0, 1, 2)):
        block = there[channel]
        assert len(block[plane == PLANES].unique()) == 1 and not block[plane != PLANES].any()
    luma = torch.stack([functional.pixel_shuffle(block[:4], 2)[0] for block in there])
    chroma = there[:, 4:]
    assert float(luma[3:].sum((1, 2)).abs().max()) < 1e-5 and float(chroma[3:].sum((2, 3)).abs().max()) < 1e-5
    frequencies = []
    for block in there:
        plane = functional.pixel_shuffle(block[:4], 2)[0] if block[:4].any() else block[4:].sum(0)
        frequencies.append(sum(int((line.sign().diff() != 0).sum()) for line in (plane[0], plane[:, 0])))
    assert frequencies == sorted(frequencies) and frequencies[0] == 0 and frequencies[-1] == 14


@pytest.mark.parametrize("level", [5, 4])
def test_rows_of_a_coarser_transform_are_orthogonal(level):
    """Four of each plane, which are constant in each quarter of a block; way and way back are inverse."""
    side = 2 ** (level - 1)
    there, back = of_level(level, 12)
    assert there.shape == back.shape == (12, 6, side, side)
    for blocks in (there, back):
        products = flat(blocks) @ flat(blocks).T
        assert torch.allclose(products, torch.diag(products.diagonal()), atol=1e-4 * float(products.max()))
        quarters = blocks.unflatten(2, (2, side // 2)).unflatten(4, (2, side // 2))
        assert torch.equal(quarters, quarters[:, :, :, :1, :, :1].expand_as(quarters))
    assert torch.allclose(flat(there) @ flat(back).T, torch.eye(12, dtype=torch.float64), atol=1e-5)
    for channel in range(12):
        plane = channel // 4
        assert not there[channel][plane != PLANES].any() and not back[channel][plane != PLANES].any()
        corners = there[channel][plane == PLANES][0, :: side // 2, :: side // 2].flatten()
        assert corners.sign().tolist() == list(HAAR[channel % 4])


@pytest.mark.parametrize("level", LEVELS)
def test_extra_channels_begin_at_random_and_come_back_as_nothing(level):
    count = CHANNELS[level]
    there, back = of_level(level, count + 5)
    exact = of_level(level, count)
    assert torch.equal(there[:count], exact[0]) and torch.equal(back[:count], exact[1])
    assert there[count:].abs().amax((1, 2, 3)).min() > 0 and not back[count:].any()
    assert float(there[count:].square().sum((1, 2, 3)).max()) < 1, "small"


@pytest.mark.parametrize("level", LEVELS)
def test_fewer_channels_are_the_first_ones(level):
    for part, whole in zip(of_level(level, 5), of_level(level, CHANNELS[level]), strict=True):
        assert part.shape[0] == 5 and torch.equal(part, whole[:5])


def test_extra_channels_of_a_network_change_no_picture():
    """More latents than the transforms have, and fewer of the finest."""
    picture = picture_at_random(24, 40)
    wide = LatentNetwork(True, 8, 8, {5: (20,), 4: (17,), 3: (9, 21, 70)})
    found = put_together(latents_of(picture, wide), layers_of(wide), (24, 40))
    assert float((found - picture).abs().max()) < 1e-3
    least = LatentNetwork(True, 8, 8, {5: (1,), 4: (1,), 3: (1, 1, 1)})
    found = put_together(latents_of(picture, least), layers_of(least), (24, 40))
    means = functional.avg_pool2d(picture, 4)[:, [0, 4, 5]]
    assert found.shape == picture.shape
    assert torch.allclose(functional.avg_pool2d(found, 4)[:, 4:], means[:, 1:], atol=0.5), "means of chroma are left"


def test_layers_of_the_linear_way_look_at_one_cell_alone():
    for level, layer in layers_of().items():
        middle = layer[:, :, 1, 1].clone()
        assert middle.any() and layer.shape[2:] == (3, 3)
        layer[:, :, 1, 1] = 0
        assert not layer.any(), level


def test_samples_of_a_cell_are_passed_on_as_they_are():
    assert torch.equal(direct(2, 24, 24, False)[:, :, 1, 1], torch.eye(24))
    assert torch.equal(direct(2, 7, 24, False)[:, :, 1, 1], torch.eye(24)[:, :7])


def test_random_numbers_are_those_of_the_seed():
    """Of extra channels."""
    torch.manual_seed(5)
    first = of_level(5, 14)[0]
    torch.manual_seed(5)
    assert torch.equal(of_level(5, 14)[0], first) and not torch.equal(of_level(5, 14)[0], first)
