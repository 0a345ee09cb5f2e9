"""Context classes: exact values."""

import numpy as np

from nvcodec.entropy import context


def test_update_is_the_formula():
    activity, residual = np.meshgrid(np.arange(256), np.arange(-40, 41), indexing="ij")
    expected = [
        [min(255, (3 * a + 1) // 4 + 4 * min(abs(r), 15)) for a, r in zip(rows, cols, strict=True)]
        for rows, cols in zip(activity.tolist(), residual.tolist(), strict=True)
    ]
    before = activity.astype(np.uint8)
    after = context.update(before, residual.astype(np.int32))
    assert after.dtype == np.uint8 and after.tolist() == expected
    assert np.array_equal(before, activity)


def test_the_most_negative_residual_saturates():
    lowest = np.array([np.iinfo(np.int32).min], np.int32)
    assert context.update(np.zeros(1, np.uint8), lowest).tolist() == [60]


def test_classes_change_at_the_thresholds():
    classes = context.classify(np.arange(256, dtype=np.uint8))
    changes = (np.flatnonzero(np.diff(classes)) + 1).tolist()
    assert changes == [1, 3, 8, 16, 40] and classes[0] == 0 and classes[255] == context.N_CLASSES - 1


def test_having_moved_is_never_forgotten():
    activity = np.array([0, 200], np.uint8)
    for _ in range(50):
        activity = context.update(activity, np.zeros(2, np.int32))
    assert activity.tolist() == [0, 1] and context.classify(activity).tolist() == [0, 1]
