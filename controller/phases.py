"""The three-phase vocabulary of the optimizer, for everyone outside of it."""

from __future__ import annotations

from optimizer.phases import PHASES as PHASES
from optimizer.phases import ZERO as ZERO
from optimizer.phases import Phase as Phase
from optimizer.phases import PhaseCurrents as PhaseCurrents
from optimizer.phases import PhaseRotation as PhaseRotation
from optimizer.phases import PhaseSet as PhaseSet
