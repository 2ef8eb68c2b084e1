"""What all tests share: how long Hypothesis searches, here and in the gate."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A slow machine is no reason to fail; only wrong results are.
SLOW_IS_FINE = [HealthCheck.too_slow]

settings.register_profile("dev", deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile(
    "ci",
    deadline=None,
    suppress_health_check=SLOW_IS_FINE,
    max_examples=150,
    derandomize=True,  # an unchanged tree gives an unchanged result
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
