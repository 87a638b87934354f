"""`python -m semihand`."""

from .cli import main

main()
