"""The state diagrams of docs/architecture.md, made from the comments of the state types.

    python -m cppvmdev.states ROOT [--write]

A comment holds one chain a line, as in

    ///   created | starting -> stopped     (why)

Without --write it fails where the document shows something else.
"""

import re
import sys
from pathlib import Path

TYPES = {
    "Sandbox": "host/sandbox/sandbox_state.hpp",
    "Sandbox of the Sandbox API": "host/sandbox/pod_state.hpp",
    "Process of a task": "host/sandbox/process_state.hpp",
    "Container in the guest": "guest-agent/container/container_state.hpp",
}
_DOCUMENT = "docs/architecture.md"
_CHAIN = re.compile(r"^///   (?P<chain>[a-z].*? -> .*?)(?:\s{2,}\(?(?P<why>[^)]*)\)?)?$", re.M)
_DIAGRAM = re.compile(r"```mermaid\nstateDiagram-v2\n.*?```\n", re.S)


def transitions(header):
    """[(from, to, why)] in the order of the comment; "any" stands for all states but the target."""
    chains = []
    for match in _CHAIN.finditer(header):
        chain = [re.split(r"\s*\|\s*", side) for side in re.split(r"\s*->\s*", match["chain"])]
        chains.append((chain, match["why"] or ""))
    states = {state for chain, _ in chains for side in chain for state in side} - {"any"}
    edges = []
    for chain, why in chains:
        for origins, targets in zip(chain, chain[1:]):
            edges += [(a, b, why) for a in _meant(origins, states - {*targets}) for b in targets]
    return edges


def _meant(origins, others):
    return sorted(others) if origins == ["any"] else origins


def diagram(title, path, header):
    edges = transitions(header)
    name = re.sub(r"\W", "_", title).lower()
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f'    state "{title} ({path})" as {name} {{']
    lines.append(f"        [*] --> {edges[0][0]}")
    lines += [f"        {a} --> {b}" + (f" : {why}" if why else "") for a, b, why in edges]
    return "\n".join([*lines, "    }", "```", ""])


def main():
    root = Path(sys.argv[1])
    made = [diagram(title, path, (root / path).read_text()) for title, path in TYPES.items()]
    document = (root / _DOCUMENT).read_text()
    shown = _DIAGRAM.findall(document)
    if shown == made:
        return 0
    if "--write" not in sys.argv:
        print(f"{_DOCUMENT}: not the states of {', '.join(TYPES.values())}; run: "
              "PYTHONPATH=scripts/lib python3 -m cppvmdev.states . --write")  # fmt: skip
        return 1
    pieces = iter(made)
    (root / _DOCUMENT).write_text(_DIAGRAM.sub(lambda _: next(pieces), document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
