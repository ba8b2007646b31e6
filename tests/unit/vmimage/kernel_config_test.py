"""vmimage/kernel/check-config, and the fragment that it is used on."""

import re
import subprocess
from pathlib import Path

import pytest

_KERNEL = Path(__file__).parents[3] / "vmimage/kernel"
_OWN = _KERNEL / "config"


@pytest.fixture(name="check")
def check_fixture(tmp_path):
    """A function that checks two texts, and returns what it said; "" when all is well."""

    def run(fragment, configuration):
        (tmp_path / "fragment").write_text(fragment)
        (tmp_path / "config").write_text(configuration)
        done = subprocess.run(
            [_KERNEL / "check-config", tmp_path / "fragment", tmp_path / "config"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == ""
        assert (done.returncode == 0) == (done.stderr == ""), done
        return done.stderr.replace(f"{tmp_path}/", "")

    return run


def test_accepts_what_is_as_asked(check):
    fragment = '# Why.\n\nCONFIG_A=y\nCONFIG_N=5\nCONFIG_T="a=b c"\nCONFIG_OFF=n\nCONFIG_GONE=n\n'
    configuration = 'CONFIG_A=y\nCONFIG_N=5\nCONFIG_T="a=b c"\n# CONFIG_OFF is not set\nCONFIG_MORE=y\n'
    assert check(fragment, configuration) == ""


@pytest.mark.parametrize(
    "line, configuration, said",
    [
        ("CONFIG_A=y", "# CONFIG_A is not set\n", "CONFIG_A: asked for y, the configuration has n"),
        ("CONFIG_A=y", "", "CONFIG_A: asked for y, the configuration has n"),
        ("CONFIG_A=y", "CONFIG_AB=y\n", "CONFIG_A: asked for y, the configuration has n"),
        ("CONFIG_A=n", "CONFIG_A=y\n", "CONFIG_A: asked for n, the configuration has y"),
        ("CONFIG_N=5", "CONFIG_N=50\n", "CONFIG_N: asked for 5, the configuration has 50"),
        ('CONFIG_T=""', 'CONFIG_T="x"\n', 'CONFIG_T: asked for "", the configuration has "x"'),
    ],
)
def test_names_what_is_not(check, line, configuration, said):
    good = "CONFIG_GOOD=y\n"
    assert check(good + line + "\n", good + configuration) == said + "\n"


def test_names_each_of_several(check):
    said = check("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n", "CONFIG_B=y\n")
    assert re.findall(r"CONFIG_\w", said) == ["CONFIG_A", "CONFIG_C"]


@pytest.mark.parametrize(
    "line", ["A=y", "CONFIG_A", "CONFIG_A=", "CONFIG_A=m", "CONFIG_A y", " CONFIG_A=y"]
)
def test_refuses_what_is_no_option(check, line):
    assert check(f"# c\n{line}\n", "CONFIG_A=y\n") == f"fragment:2: not CONFIG_NAME=VALUE: {line}\n"


def test_refuses_an_option_that_is_there_twice(check):
    assert check("CONFIG_A=y\nCONFIG_A=y\n", "CONFIG_A=y\n") == "fragment:2: CONFIG_A is here twice\n"


def test_own_fragment_is_well_formed(check):
    text = _OWN.read_text()
    assert check(text, text) == ""

