"""Choosing runs: named spaces -> Ray Tune trials -> proved winners in result folders."""
