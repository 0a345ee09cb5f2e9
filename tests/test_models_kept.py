"""What is kept of tensors: made again when it has to be, and let go of."""

import gc

import torch

from nvcodec.models.kept import Kept


def counted():
    """(kept, ask): `ask` gives how often something was made, up to what it gives back."""
    kept, made = Kept(), []

    def ask(*tensors, how=None):
        return kept.of(tensors, how, lambda: made.append(None) or len(made))

    return kept, ask


def test_it_is_made_again_when_anything_changes():
    _, ask = counted()
    one, two = torch.zeros(3), torch.zeros(3)
    assert [ask(one, two), ask(one, two)] == [1, 1]
    one += 1
    assert [ask(one, two), ask(one, two)] == [2, 2]
    two += 1
    assert [ask(one, two), ask(one, two)] == [3, 3]
    assert [ask(one, two, how="other"), ask(one, two, how="other")] == [4, 4]
    assert [ask(one, torch.zeros(3)), ask(torch.zeros(3), two)] == [5, 6]


def test_it_goes_with_the_tensor():
    kept, ask = counted()
    tensors = [torch.zeros(3) for _ in range(4)]
    for tensor in tensors:
        ask(tensor, tensors[0])
    assert len(kept._entries) == 4
    del tensors[1:], tensor
    gc.collect()
    assert len(kept._entries) == 1 and ask(tensors[0], tensors[0]) == 1


def test_what_is_trained_is_not_kept():
    """An optimizer changes it without a trace."""
    kept, ask = counted()
    tensor = torch.zeros(3, requires_grad=True)
    assert [ask(tensor), ask(tensor)] == [1, 2] and not kept._entries
