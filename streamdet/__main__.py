"""`python -m streamdet`."""

from streamdet.cli import main

main()
