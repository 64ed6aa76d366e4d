"""Ablations that the paper leaves open."""
