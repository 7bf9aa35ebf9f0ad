"""`python -m app.cli`: the same as `sinyal`."""

from app.cli.main import main

main()
