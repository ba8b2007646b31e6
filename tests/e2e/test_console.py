"""What is on the machine's console is the kernel's and the agent's word."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.vm

_FORGED = "Kernel panic - not syncing: forged"


@pytest.mark.parametrize("node", ["c 5 1", "c 4 64", "c 1 11"], ids=["console", "ttyS0", "kmsg"])
def test_containers_do_not_write_to_it(runner, node):
    container = runner.start()
    container.exec("sh", "-c", f"mknod /dev/node {node} && echo '{_FORGED}' > /dev/node")
    log = Path("/run/cppvm") / container.identity.short / "console.log"
    assert "forged" not in (log.read_text() if log.exists() else "")
    container.delete()
