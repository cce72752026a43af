"""Speed and size measured against a reference in one run: `python -m benchmarks.NAME`."""
