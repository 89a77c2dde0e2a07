"""Observed MEV: what somebody took, from whom, and what the label rests on."""
