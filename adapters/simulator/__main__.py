"""`python -m adapters.simulator`: see `--help`."""

from __future__ import annotations

import sys

from adapters.simulator.standalone import main

sys.exit(main())
