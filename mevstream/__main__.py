"""python -m mevstream."""

from mevstream.cli import main

main()
