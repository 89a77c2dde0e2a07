"""Mutational fuzzing of everything compiled, under sanitizers. `make fuzz`, or see __main__.py."""
