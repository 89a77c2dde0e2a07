"""Tests of topologies/raw: every accepted form, and what is answered to anything else."""
