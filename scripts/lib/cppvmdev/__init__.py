"""What the quick start, the end-to-end tests and the benchmarks share: images made without a
registry, private containerd daemons, libvirt's daemons, and the search for leftovers.

Runs as root, on the distribution's Python, with its standard library alone.
"""
