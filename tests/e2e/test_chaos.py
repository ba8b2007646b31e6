"""A short run of scripts/chaos."""

import pytest

from harness.chaos import Chaos

pytestmark = pytest.mark.vm

_SEED = 9


@pytest.mark.panics
@pytest.mark.kills_daemons
def test_random_signals(runner):
    report = Chaos(runner, _SEED).run(signals=15, seconds=60, workers=2, pause=2)
    print(report)
    assert sum(report.sent.values()) > 0
    assert not report.faults, str(report)
