"""`python -m sentinel` is `zcp`."""

import sys

from ._cli import main

sys.exit(main())
