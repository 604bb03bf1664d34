"""`python -m indelible.cli`: the command line where its script is not on the path."""

import sys

from indelible.cli.root import main

sys.exit(main())
