from __future__ import annotations

import numpy as np

from distill.metrics.allpairs.bands import merged


def test_ranges_that_meet_become_one_band():
    found = merged([(0.5, np.inf), (0.1, 0.2), (0.15, 0.3), (0.30001, 0.31), (0.4, 0.41)], margin=3e-5)
    np.testing.assert_array_equal(found.low, [0.1, 0.4, 0.5])
    np.testing.assert_array_equal(found.high, [0.31, 0.41, np.inf])


def test_cuts_leave_nothing_uncertain_outside():
    bands = merged([(0.1, 0.2), (0.6, np.inf)], margin=1e-4)
    cuts = bands.cuts.astype(np.float64)
    assert cuts.shape == (4,)
    assert (np.diff(cuts) > 0).all()
    assert (cuts[0::2] <= bands.low - bands.margin).all()
    assert (cuts[1::2] >= bands.high + bands.margin).all()
    np.testing.assert_allclose(cuts[:3], [0.0999, 0.2001, 0.5999], atol=1e-6)
