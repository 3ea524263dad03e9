"""The configuration as people and programs see it. Pure."""

from __future__ import annotations

from typing import Any

from adapters.http import config_models as cm
from adapters.http.views import phases
from controller.administration import ConfigVersion
from controller.configuration import (
    Changed,
    CircuitFigures,
    ConfigProblem,
    CurrentConfig,
    Effect,
    Review,
)


def version(entry: ConfigVersion) -> cm.VersionOut:
    """Show a version without its text."""
    return cm.VersionOut(
        version=entry.number,
        at=entry.at,
        actor=entry.actor,
        note=entry.note,
        state=entry.state.value,
    )


def current(config: CurrentConfig) -> cm.ConfigOut:
    """Show what is in force."""
    return cm.ConfigOut(
        **version(config.version).model_dump(),
        text=config.version.text,
        data=_plain(config.data),
        file_changed=config.file_changed,
        restart=list(config.restart),
    )


def old_version(entry: ConfigVersion) -> cm.ConfigOut:
    """Show a version with its text."""
    return cm.ConfigOut(**version(entry).model_dump(), text=entry.text, data={})


def _plain(data: Any) -> dict[str, Any]:
    return {str(k): v for k, v in data.items()}


def review(found: Review) -> cm.DryRunOut:
    """Show what a change would do."""
    return cm.DryRunOut(
        valid=not found.problems,
        problems=[_problem(p) for p in found.problems],
        effect=effect(found.effect) if found.effect is not None else None,
        text=found.text,
    )


def changed(result: Changed) -> cm.ConfigChanged:
    """Show what became of a change."""
    return cm.ConfigChanged(
        version=result.version.number,
        state=result.version.state.value,
        applied="restart" if result.effect.restart else "hot",
        effect=effect(result.effect),
        trial_s=result.trial_s,
    )


def effect(found: Effect) -> cm.EffectOut:
    """Show an effect."""
    return cm.EffectOut(
        circuits=[
            cm.CircuitEffectOut(
                id=c.id,
                change=c.change.value,
                before=_figures(c.before),
                after=_figures(c.after),
            )
            for c in found.circuits
        ],
        stations=[
            cm.StationEffectOut(id=s.id, change=s.change.value, text=s.text) for s in found.stations
        ],
        policy=[cm.KeyEffectOut(key=k.key, before=k.before, after=k.after) for k in found.keys],
        restart=list(found.restart),
        warnings=list(found.warnings),
    )


def _figures(figures: CircuitFigures | None) -> cm.CircuitFiguresOut | None:
    if figures is None:
        return None
    return cm.CircuitFiguresOut(
        limit_a=phases(figures.limit_a),
        building_peak_a=phases(figures.building_peak_a),
        fallback_a=phases(figures.fallback_a),
        certificate_headroom_a=phases(figures.certificate_headroom_a),
    )


def _problem(problem: ConfigProblem) -> cm.ConfigProblemOut:
    return cm.ConfigProblemOut(
        line=problem.line,
        column=problem.column,
        path=problem.path,
        text=problem.text,
        mend=problem.mend,
    )
