"""Measures Sidegate beside other proxies. `bench/run.py` is the command."""
