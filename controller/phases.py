"""Three-phase values, re-exported for the controller and the adapters."""

from optimizer.phases import PHASES as PHASES
from optimizer.phases import ZERO as ZERO
from optimizer.phases import Phase as Phase
from optimizer.phases import PhaseCurrents as PhaseCurrents
from optimizer.phases import PhaseRotation as PhaseRotation
from optimizer.phases import PhaseSet as PhaseSet
