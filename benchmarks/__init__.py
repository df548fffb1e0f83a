"""Speed and quality beside other implementations: `python -m benchmarks.peers --help`."""
