"""The figures of scripts/bench, one module for each kind of work."""
