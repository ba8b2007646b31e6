"""clang-tidy and "does this header compile alone", in parallel, with remembered results.

    python3 -m cppvmdev.tidy tidy|headers ROOT BUILD JOBS

A file that passed is not looked at again until something that it includes of ours, its compiler
command, the tool or its configuration changes; what was seen lies in BUILD/lint.
"""

import concurrent.futures
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

_TIDY = "clang-tidy-19"
_FOLDERS = ("common", "guest-agent", "host", "tests", "vmimage")


class Tree:
    """The sources, and how the build compiles them."""

    def __init__(self, root, build):
        self.root, self.build = Path(root).resolve(), Path(build).resolve()
        self.cache = self.build / "lint"
        self.cache.mkdir(exist_ok=True)
        commands = json.loads((self.build / "compile_commands.json").read_text())
        self.commands = {}
        for entry in commands:
            source = Path(entry["file"])
            if self.is_own(source):
                self.commands.setdefault(source, entry)
        self._included = self._dependencies(commands)
        self._hashes = {}

    def is_own(self, path):
        """Written by us: neither generated nor of the system."""
        if not path.is_relative_to(self.root) or path.is_relative_to(self.build):
            return False
        return path.relative_to(self.root).parts[0] in _FOLDERS

    def arguments(self, source):
        """The compiler's arguments without compiler, launcher, source and output."""
        argv = shlex.split(self.commands[source]["command"])
        start = next(i for i, program in enumerate(argv) if "clang" in program or "g++" in program)
        kept, skip = [], False
        for argument in argv[start + 1 :]:
            if skip:
                skip = False
            elif argument in ("-o", "-c", "-MF", "-MT"):
                skip = True
            elif argument not in ("-MD", str(source)):
                kept.append(argument)
        return kept

    def fingerprint(self, source, *extra):
        """Changes whenever something does that decides how the source is judged."""
        digest = hashlib.sha256("\0".join(extra).encode())
        digest.update(self.commands[source]["command"].encode())
        for path in sorted({source, *self._included.get(source, ())}):
            digest.update(str(path).encode() + self._hash(path))
        return digest.hexdigest()

    def seen(self, fingerprint):
        return (self.cache / fingerprint).exists()

    def remember(self, fingerprint):
        (self.cache / fingerprint).touch()

    def _hash(self, path):
        if path not in self._hashes:
            try:
                self._hashes[path] = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                self._hashes[path] = b""
        return self._hashes[path]

    def _dependencies(self, commands):
        """Own and generated files that each source includes, as Ninja recorded them."""
        listing = subprocess.run(
            ["ninja", "-C", self.build, "-t", "deps"], capture_output=True, text=True, check=True
        ).stdout
        by_output, current = {}, None
        for line in listing.splitlines():
            if line and not line[0].isspace():
                current = by_output.setdefault(line.split(":")[0], set())
            elif line.strip() and current is not None:
                path = (self.build / line.strip()).resolve()
                if path.is_relative_to(self.root):
                    current.add(path)
        included = {}
        for entry in commands:
            argv = shlex.split(entry["command"])
            output = argv[argv.index("-o") + 1]
            included.setdefault(Path(entry["file"]), by_output.get(output, set()))
        return included


def _run(command, cwd):
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode == 0, done.stdout


def tidy(tree, jobs):
    """Names and findings of sources that clang-tidy does not pass.

    Sources of one target are looked at together, as one source that includes them: most of the
    time goes into the headers that they share. Where they do not fit into one (two anonymous
    namespaces with the same name in it) they are taken apart.
    """
    configuration = "".join(
        path.read_text()
        for path in sorted(tree.root.glob("**/.clang-tidy"))
        if not path.is_relative_to(tree.build)
    )
    version = subprocess.run([_TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    fingerprints = {
        source: tree.fingerprint(source, "tidy", configuration, version)
        for source in tree.commands
    }
    todo = sorted(s for s in tree.commands if not tree.seen(fingerprints[s]))

    def unity_of(group):
        """Where the configuration of its folder is found."""
        folder = group[0].relative_to(tree.root).parts[0]
        unities = tree.cache / "unity" / folder
        unities.mkdir(parents=True, exist_ok=True)
        own = tree.root / folder / ".clang-tidy"
        if own.exists():
            (unities / ".clang-tidy").write_text(own.read_text())
        name = hashlib.sha256("\0".join(map(str, group)).encode()).hexdigest()[:16]
        return unities / f"{name}.cpp"

    def look(group):
        source = group[0]
        if len(group) > 1:
            source = unity_of(group)
            source.write_text(
                "".join(f'#include "{s}" // NOLINT(bugprone-suspicious-include)\n' for s in group)
            )
        passed, output = _run(
            [_TIDY, "--quiet", f"--header-filter={_own_files(tree)}", source, "--",
             *tree.arguments(group[0])],
            tree.commands[group[0]]["directory"],
        )  # fmt: skip
        if passed:
            for member in group:
                tree.remember(fingerprints[member])
            return None
        if len(group) > 1 and "clang-diagnostic-" in output:
            middle = len(group) // 2
            halves = [look(group[:middle]), look(group[middle:])]
            return "\n".join(half for half in halves if half is not None) or None
        noise = ("warnings generated", "Suppressed ", "Use -header-filter")
        return "\n".join(l for l in output.splitlines() if not any(n in l for n in noise))

    return _each(look, _groups(tree, todo), jobs, len(tree.commands))


def _own_files(tree):
    return f"^{tree.root}/({'|'.join(_FOLDERS)})/"


def _groups(tree, sources, size=24):
    """Lists of at most `size` sources that are compiled alike, neighbours together."""
    alike = {}
    for source in sources:
        alike.setdefault(tuple(tree.arguments(source)), []).append(source)
    return [
        members[start : start + size]
        for members in alike.values()
        for start in range(0, len(members), size)
    ]


def headers(tree, jobs):
    """Names and errors of headers that do not compile alone.

    A header that a source includes first is proven by that source, which compiled.
    """
    proven = set()
    for source in tree.commands:
        for line in source.read_text().splitlines():
            if line.startswith("#include"):
                words = line.split('"')
                if len(words) > 1:
                    proven.add(tree.root / words[1])
                break
    todo = {}
    for folder in _FOLDERS:
        for header in (tree.root / folder).rglob("*.hpp"):
            source = _neighbour(tree, header)
            if header not in proven and source:
                todo[header] = source

    def one(header):
        source = todo[header]
        command = [
            "clang++-19", *tree.arguments(source), "-fsyntax-only", "-Wno-pragma-once-outside-header",
            "-x", "c++", str(header),
        ]  # fmt: skip
        passed, output = _run(command, tree.commands[source]["directory"])
        return None if passed else f"{header}:\n{output}"

    return _each(one, todo, jobs, len(todo) + len(proven))


def _neighbour(tree, header):
    """A source whose compiler command fits the header: of its folder, or one further up."""
    for folder in header.parents:
        for source in sorted(tree.commands):
            if source.is_relative_to(folder):
                return source
        if folder == tree.root:
            return None
    return None


def _each(work, items, jobs, total):
    failures = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for said in pool.map(work, items):
            if said is not None:
                failures.append(said)
    print(f"{total} files; {len(items)} looks, {len(failures)} with findings")
    return failures


def main(action, root, build, jobs):
    failures = {"tidy": tidy, "headers": headers}[action](Tree(root, build), int(jobs))
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
