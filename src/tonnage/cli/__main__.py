"""`python -m tonnage.cli`."""

from tonnage.cli import main

main()
