"""Names of OCPP 2.0.1 variables as one text.

`Component.Variable`, with `[instance]` behind either and `@evse` behind the component:
`SampledDataCtrlr.TxUpdatedInterval`, `EVSE@1.Power[maxLimit]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAME = re.compile(
    r"(?P<component>[^.\[\]@]{1,50})(\[(?P<component_instance>[^\]]{1,50})\])?(@(?P<evse>\d{1,3}))?"
    r"\.(?P<variable>[^.\[\]]{1,50})(\[(?P<variable_instance>[^\]]{1,50})\])?"
)


def place_of(name: str) -> dict[str, Any] | None:
    """Return component and variable of a name; None: it is not one."""
    found = NAME.fullmatch(name.strip())
    if found is None:
        return None
    component: dict[str, Any] = {"name": found["component"]}
    if found["component_instance"]:
        component["instance"] = found["component_instance"]
    if found["evse"]:
        component["evse"] = {"id": int(found["evse"])}
    variable = {"name": found["variable"]}
    if found["variable_instance"]:
        variable["instance"] = found["variable_instance"]
    return {"component": component, "variable": variable}


def name_of(entry: Mapping[str, Any]) -> str:
    """Return the name of component and variable, as `place_of` reads it."""
    component, variable = entry["component"], entry["variable"]
    text = str(component["name"])
    if component.get("instance"):
        text += f"[{component['instance']}]"
    if component.get("evse"):
        text += f"@{component['evse']['id']}"
    text += f".{variable['name']}"
    return text + (f"[{variable['instance']}]" if variable.get("instance") else "")
