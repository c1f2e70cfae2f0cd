"""`python -m admin` is `hnode`, for those who run a checkout without its console script."""

import sys

from admin.cli import main

sys.exit(main())
