"""Every row of the fault matrix: its bar, and what is measured against it.

t_d: the fault is told or acted on; t_s: the safe state is reached; t_r: what rises again, how soon.
A time in simulation is that of the next decision: bars hold to within one cycle of 2 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adapters.simulator.lockstep.scenario import FaultKind as Kind
from controller.decision import SiteMode
from controller.policy import Policy
from tests.simulation.fault_runs import AT_S, EVSE, UNTIL_S, Moment, Run, Trial

CYCLE_S = 2.0
LEASE_S = Policy().lease_s + 5.0
"""A lease by the station's clock ends at most so late. [s]"""
Measure = Callable[[Run], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One time of a row and its bar. None for both bars: it is told, not judged."""

    name: str
    measure: Measure
    most_s: float | None = None
    least_s: float | None = None

    def holds(self, value_s: float | None) -> bool:
        if value_s is None:
            return False
        most = self.most_s is None or value_s <= self.most_s + CYCLE_S
        return most and (self.least_s is None or value_s >= self.least_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A figure that the row's tests told of their own run (`record_property`); the worst counts."""

    name: str
    """t_d, t_s or t_r."""
    key: str
    most: float | None = None
    """None: it is told, not judged."""
    unit: str = ""
    """What stands behind the number; seconds need none."""

    def holds(self, value: float | None) -> bool:
        return value is not None and (self.most is None or value <= self.most)


def told_s(name: str, most: float | None = None) -> Told:
    """Seconds that the tests tell as `fault_t_d_s` and so on."""
    return Told(name=name, key=f"fault_{name}_s", most=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the matrix."""

    fault: str
    bar: str
    """t_d / t_s / t_r as the matrix says them."""
    trial: Trial | None = None
    figures: tuple[Figure, ...] = ()
    told: tuple[Told, ...] = ()
    """What the tests measured; never more than what they ran."""
    tests: tuple[str, ...] = ()
    """What measures it with the real parts, in place of the simulation or beside it."""
    missing: str = ""
    """What of the row the product does not do; then the row is not held."""
    remark: str = ""


def told(most_s: float | None, least_s: float | None = None) -> Figure:
    return Figure(name="t_d", measure=lambda r: r.told_s, most_s=most_s, least_s=least_s)


def detected(holds: Callable[[Moment], bool], most_s: float) -> Figure:
    return Figure(name="t_d", measure=lambda r: r.first_s(holds), most_s=most_s)


def safe(measure: Measure, most_s: float) -> Figure:
    return Figure(name="t_s", measure=measure, most_s=most_s)


def recovered(
    measure: Measure, *, most_s: float | None = None, least_s: float | None = None
) -> Figure:
    return Figure(name="t_r", measure=measure, most_s=most_s, least_s=least_s)


def rises(least_s: float | None = None, most_s: float | None = None) -> Figure:
    return recovered(lambda r: r.rises_s, most_s=most_s, least_s=least_s)


def at_once(_: Run) -> float:
    """The state is safe without anything being done."""
    return 0.0


def blind(run: Run) -> float | None:
    return run.blind_safe_s()


def below_limit(run: Run) -> float:
    return run.over_limit_until_s


def fallback_counts(run: Run) -> float | None:
    return run.first_s(lambda m: m.at_s > AT_S and m.committed_a <= 6.0)


def is_cut(moment: Moment) -> bool:
    return any(c.evse == EVSE and 0.0 < c.limit_a <= 13.0 for c in moment.lowered)


def first_cut_s(run: Run) -> float:
    """When the EVSE was first told to go lower. [s]"""
    return run.first_s(lambda m: any(c.evse == EVSE for c in m.lowered)) or 0.0


def refusal_known(run: Run) -> float | None:
    known_s = run.first_s(lambda m: m.refusals > 0)
    return None if known_s is None else known_s - first_cut_s(run)


def refusal_safe(run: Run) -> float | None:
    """When it is told and nothing is above the limit. [s]"""
    if run.told_s is None:
        return None
    return max(run.told_s - first_cut_s(run), run.over_limit_until_s)


def since_measured(run: Run) -> float | None:
    """From the first sample above every limit to the alarm. [s]"""
    seen_s = run.first_s(lambda m: m.committed_a > 15.5)
    return None if seen_s is None or run.told_s is None else run.told_s - seen_s


def since_under(run: Run) -> float | None:
    """From the first sample that leaves much unused to the cut. [s]"""
    cut = next((m for m in run.moments if m.at_s >= AT_S and is_cut(m)), None)
    if cut is None or cut.under_since_s is None:
        return None
    return cut.at_s - cut.under_since_s


def solver_answered(run: Run) -> float | None:
    """From the solver's failure to the answer of progressive filling. [s]"""
    failed_s = next(iter(run.solver_failed_s), None)
    answered_s = run.first_s(lambda m: m.solver_fault != "")
    return None if failed_s is None or answered_s is None else AT_S + answered_s - failed_s


def under_control(run: Run) -> float | None:
    """From the crash until the restarted controller has the station again. [s]"""
    again_s = run.first_s(lambda m: m.is_connected, run.mended_s)
    return None if again_s is None else run.trial.for_s + again_s


def all_renewed(run: Run) -> float | None:
    """When all five limits have been sent again after a step of the clock. [s]"""
    seen: set[str] = set()
    for moment in run.moments:
        if moment.at_s >= AT_S:
            seen |= {c.evse for c in (*moment.renewed, *moment.lowered, *moment.raised)}
            if len(seen) == 5:
                return moment.at_s - AT_S
    return None


METER = "main"
BLINK = Trial(kind=Kind.METER_SILENT, for_s=6.0, target=METER)
ROWS: tuple[Row, ...] = (
    Row(
        fault="meter timeout",
        bar="3 s / at once / 3 good frames",
        trial=BLINK,
        figures=(
            detected(lambda m: m.mode is not SiteMode.NORMAL, 3.0),
            safe(at_once, 0.0),
            recovered(
                lambda r: r.first_s(lambda m: m.mode is SiteMode.NORMAL, r.mended_s), least_s=3.0
            ),
        ),
        remark="nothing rises meanwhile",
    ),
    Row(
        fault="meter timeout, longer",
        bar="10 s / 20 s / 30 s, small rises",
        trial=Trial(kind=Kind.METER_SILENT, target=METER, code="METER_LOST"),
        figures=(told(10.0), safe(blind, 20.0), rises(30.0)),
    ),
    Row(
        fault="meter timeout, 15 min",
        bar="900 s / - / -",
        trial=Trial(kind=Kind.METER_SILENT, for_s=1200.0, target=METER, code="METER_LOST_LONG"),
        figures=(told(900.0), safe(blind, 20.0), rises(30.0)),
        remark="a second alarm, critical: told again by mail and webhook",
    ),
    Row(
        fault="meter frozen",
        bar="30-60 s / 70 s / as above",
        trial=Trial(kind=Kind.METER_FROZEN, target=METER, code="METER_FROZEN"),
        figures=(told(60.0), safe(blind, 70.0), rises(30.0)),
    ),
    Row(
        fault="wrong sign, transformer reversed, phases swapped",
        bar="3 steps, 5 min / 20 s / operator",
        told=(
            Told(name="t_d", key="fault_moves", unit="begins or ends", most=3.0),
            told_s("t_d", 300.0),
        ),
        tests=(
            "tests/controller/test_wiring.py::test_turned_transformer_is_found",
            "tests/controller/test_wiring.py::test_exchanged_phases_are_found",
            "tests/controller/test_wiring.py::test_wrong_circuit_is_found",
        ),
        remark="t_d: with vehicles that come and go every 15 min; from the first begin, of the station or "
        "stations that show it",
        missing="found from at least four begins or ends of sessions, not three; it is told with the mend "
        "and changes no limit",
    ),
    Row(
        fault="implausible data",
        bar="1 sample / 10 s / 30 s",
        trial=Trial(kind=Kind.METER_BAD_DATA, target=METER, code="METER_LOST"),
        figures=(safe(blind, 10.0), rises(30.0)),
        tests=(
            "tests/adapters/modbus/test_reader.py::test_implausible_sample_is_a_fault_and_no_reading",
            "tests/adapters/modbus/test_plausibility.py::test_wrong_number_has_its_reason",
            "tests/adapters/modbus/test_credit.py",
            "tests/adapters/modbus/test_reader.py::"
            "test_who_sends_wrong_numbers_every_second_time_is_not_believed_at_all",
        ),
        remark="a bad sample is dropped at once; where more than a fifth of the last 30 s is bad, the others do "
        "not count either; the alarm METER_LOST names the reason",
    ),
    Row(
        fault="websocket closed",
        bar="0 s / lease / 10 s at the fallback",
        trial=Trial(kind=Kind.STATION_OFFLINE, target=EVSE, code="STATION_OFFLINE"),
        figures=(
            detected(lambda m: not m.is_connected, 0.0),
            safe(fallback_counts, LEASE_S),
            rises(10.0),
        ),
        remark="alarm after 60 s",
    ),
    Row(
        fault="half-open connection",
        bar="20 s / lease / 10 s at the fallback",
        trial=Trial(kind=Kind.STATION_HALF_OPEN, target=EVSE, code="STATION_OFFLINE"),
        figures=(
            detected(lambda m: not m.is_connected, 20.0),
            safe(fallback_counts, LEASE_S),
            rises(10.0),
        ),
        told=(told_s("t_d", 20.0 + CYCLE_S),),
        tests=(
            "tests/adapters/ocpp/test_session.py::"
            "test_a_peer_that_falls_silent_is_found_dead_in_time",
            "tests/adapters/ocpp/test_session.py::"
            "test_a_silent_peer_is_found_dead_and_any_frame_counts_as_life",
        ),
        remark="the second t_d: a real socket that falls silent, with the product's own times",
    ),
    Row(
        fault="rejects its limit",
        bar="1 s / 15 s / next accepted",
        trial=Trial(
            kind=Kind.STATION_REFUSES, target=EVSE, code="LIMIT_REFUSED", building_steps_s=1.0
        ),
        figures=(
            Figure(name="t_d", measure=refusal_known, most_s=1.0),
            safe(refusal_safe, 15.0),
            recovered(lambda r: r.over_s, most_s=120.0),
        ),
        remark="from the first command that is refused; t_s: the third refusal is told, and nothing is above "
        "the limit",
    ),
    Row(
        fault="accepts, ignores",
        bar="15 s / 30 s / 120 s of obedience",
        trial=Trial(
            kind=Kind.STATION_DISOBEYS, target=EVSE, code="DISOBEYS", building_steps_s=-30.0
        ),
        figures=(
            Figure(name="t_d", measure=since_measured, most_s=15.0),
            safe(below_limit, 30.0),
            recovered(lambda r: r.over_s, least_s=120.0),
        ),
        remark="t_d: from the first sample above the limit. Its session is stopped at once where its circuit "
        "would stay above its rating with all others paused (`policy.stop_disobedient`), else it is left "
        "to the operator",
    ),
    Row(
        fault="vehicle takes less",
        bar="60 s / - / on demand 15 s",
        trial=Trial(kind=None, vehicle_takes_a=10.0),
        figures=(Figure(name="t_d", measure=since_under, most_s=60.0),),
        told=(
            told_s("t_r", 15.0),
            Told(name="t_r", key="fault_all_s", unit="until all of it"),
        ),
        tests=(
            "tests/controller/test_decide.py::"
            "test_what_a_vehicle_leaves_is_given_to_others_and_back_when_it_wants_it",
        ),
        remark="t_d: from the first sample that leaves current unused",
    ),
    Row(
        fault="reports nothing",
        bar="45 s / at once / 2 samples",
        trial=Trial(kind=Kind.STATION_SILENT, target=EVSE, code="EVSE_METER_SILENT"),
        figures=(
            detected(lambda m: m.asked, 45.0),
            safe(at_once, 0.0),
            recovered(lambda r: r.over_s, most_s=20.0),
        ),
        remark="t_d: asked for its meter values; told after a minute. What it may draw counts throughout",
    ),
    Row(
        fault="contactor welded",
        bar="30 s / 30 s / operator",
        trial=Trial(kind=Kind.CONTACTOR_WELDED, target=EVSE, code="CONTACTOR_WELDED"),
        figures=(told(30.0), safe(below_limit, 30.0)),
        tests=(
            "tests/controller/test_faults.py::"
            "test_current_though_nobody_charges_is_a_welded_contactor",
        ),
    ),
    Row(
        fault="solver infeasible",
        bar="1 s / same cycle / next cycle",
        trial=Trial(kind=None, solver_fails=True, code="SOLVER_FAILING", lasts_s=UNTIL_S + 3600.0),
        figures=(
            Figure(name="t_d", measure=solver_answered, most_s=1.0),
            safe(lambda r: 0.0 if not r.failed_s else None, 0.0),
            recovered(
                lambda r: r.first_s(lambda m: not m.solver_fault, r.mended_s), most_s=CYCLE_S
            ),
        ),
        remark="t_d: from the failure to the answer of progressive filling. Told when it goes on: more than "
        "ten failures in an hour",
    ),
    Row(
        fault="solver timeout, crash",
        bar="1 s / same cycle / 3 good solves",
        told=(
            Told(name="t_d", key="fault_past_budget_s", most=CYCLE_S, unit="past its time"),
            Told(name="t_s", key="fault_cycles_lost", most=0.0, unit="cycles lost"),
        ),
        tests=(
            "tests/optimizer/test_lp.py::test_no_time_is_an_error_and_not_a_guess",
            "tests/optimizer/test_lp.py::test_a_large_problem_is_left_soon_after_its_time",
            "tests/controller/test_cycle.py::"
            "test_a_solver_that_fails_costs_no_cycle_and_is_told_when_it_goes_on",
            "tests/controller/test_cycle.py::"
            "test_a_defect_in_a_decision_is_an_alarm_and_the_next_cycle_goes_on",
        ),
        missing="its first good answer is believed again, not its third; it runs in the process with a limit "
        "of time, and a crash of the process is the watchdog's",
    ),
    Row(
        fault="control cycle fails",
        bar="1 cycle / lease / next cycle",
        trial=Trial(
            kind=Kind.SOLVER_FAILS,
            for_s=60.0,
            code="CYCLE_FAILED",
            building_steps_s=1.0,
            step_a=3.0,
        ),
        figures=(told(CYCLE_S), recovered(lambda r: r.over_s, most_s=CYCLE_S)),
        remark="not in the matrix: the whole optimizer raises",
    ),
    Row(
        fault="cycle overrun",
        bar="2 cycles / - / -",
        told=(Told(name="t_d", key="fault_late_cycles", most=2.0, unit="cycles"),),
        tests=(
            "tests/controller/test_cycle.py::"
            "test_cycles_that_are_late_twice_are_told_and_leave_history_out",
        ),
    ),
    Row(
        fault="clock jump",
        bar="1 cycle / 5 s / -",
        trial=Trial(kind=Kind.CLOCK_JUMPS, value=-86_400.0, code="CLOCK_STEPPED"),
        figures=(
            detected(lambda m: bool(m.renewed), CYCLE_S),
            safe(all_renewed, 5.0),
            recovered(lambda r: r.over_s, most_s=CYCLE_S),
        ),
        tests=(
            "tests/adapters/ocpp/test_clocks.py::"
            "test_a_step_of_our_own_clock_is_not_taken_for_the_stations",
        ),
        remark="alarm when it lasts for more than 60 s; a loss of time synchronisation alone is not seen",
    ),
    Row(
        fault="process crash, hang",
        bar="10 s / 15 s / one full cycle",
        trial=Trial(kind=Kind.CONTROLLER_KILLED, for_s=12.0),
        figures=(safe(under_control, 15.0),),
        tests=("tests/adapters/test_watchdog.py::test_a_failed_cycle_is_not_told",),
        remark="t_s: ten seconds to the watchdog and two to the start (assumed), and until a station is back "
        "under control; limits rise no sooner than the meter and the stations allow",
    ),
    Row(
        fault="power loss mid-write",
        bar="boot / boot <= 60 s / -",
        told=(
            Told(name="t_d", key="fault_t_s_s", most=60.0),
            told_s("t_s", 60.0),
        ),
        tests=(
            "tests/adapters/store/test_damage.py::test_cut_file_is_recovered_and_kept",
            "tests/adapters/store/test_damage.py::test_cut_log_costs_only_its_end",
            "tests/adapters/store/test_damage.py::test_any_overwritten_page_is_told_or_costs_nothing",
            "tests/adapters/store/test_crash.py::"
            "test_every_confirmed_transaction_survives_being_killed[15]",
        ),
        remark="told and mended at the start, before the first cycle: 20,000 samples and 400 transactions "
        "in a file that was cut",
    ),
    Row(
        fault="InfluxDB down or slow",
        bar="5 s / 0 / drain <= 10 % CPU",
        told=(
            told_s("t_d", 5.0 + CYCLE_S),
            Told(name="t_s", key="fault_lost", most=0.0, unit="lost"),
            Told(name="t_r", key="fault_drain_percent", most=10.0, unit="% of a core"),
        ),
        tests=(
            "tests/adapters/influx/test_uploader.py::"
            "test_failing_server_is_one_condition_and_loses_nothing",
            "tests/adapters/influx/test_uploader.py::test_hanging_server_is_left_by_timeout",
            "tests/adapters/influx/test_uploader.py::"
            "test_a_backlog_is_drained_within_its_share_of_the_processor",
            "tests/adapters/influx/test_uploader.py::"
            "test_backfill_keeps_to_its_share_of_the_processor_while_new_samples_pass",
            "tests/adapters/influx/test_uploader.py::"
            "test_server_that_is_away_for_an_hour_is_an_alarm",
        ),
        remark="t_d: of a server that hangs, with the product's own times; t_r: of the whole "
        "process; jitter of the cycle: docs/timeseries.md",
    ),
    Row(
        fault="disk full, read-only",
        bar="30 s / 0 / by itself",
        trial=Trial(kind=Kind.STORE_READ_ONLY),
        figures=(safe(below_limit, 0.0),),
        told=(told_s("t_d", 30.0), told_s("t_r", 30.0)),
        tests=(
            "tests/adapters/store/test_limits.py::"
            "test_full_disk_is_one_condition_and_ends_by_itself",
            "tests/adapters/store/test_limits.py::"
            "test_little_room_keeps_samples_in_memory_and_stores_transactions",
        ),
    ),
    Row(
        fault="network partition, all chargers",
        bar="10-20 s / lease / 5 set-ups a second",
        trial=Trial(kind=Kind.NETWORK_PARTITION, code="NETWORK_LOST"),
        figures=(told(20.0), safe(fallback_counts, LEASE_S), rises()),
        told=(Told(name="t_r", key="fault_set_ups", most=5.0, unit="set-ups a second"),),
        tests=(
            "tests/adapters/ocpp/test_pace.py::"
            "test_thirty_stations_that_return_at_once_are_set_up_in_turn[1.0]",
        ),
        remark="t_r: the first rise after the mend, in simulation; 30 stations that return at once, on real "
        "sockets. Who waits is answered and counts as before",
    ),
    Row(
        fault="back office down",
        bar="20 s / 0 / in order",
        told=(
            told_s("t_d", 20.0 + CYCLE_S),
            Told(name="t_s", key="fault_answer_s", most=1.0, unit="to answer a station"),
            Told(name="t_r", key="fault_out_of_order", most=0.0, unit="out of order"),
        ),
        tests=(
            "tests/adapters/upstream/test_relay.py::test_a_silent_line_is_found_dead",
            "tests/adapters/upstream/test_relay.py::"
            "test_a_day_without_the_centre_arrives_complete_and_in_order",
            "tests/adapters/upstream/test_relay.py::"
            "test_a_line_that_breaks_loses_nothing_and_says_why",
            "tests/adapters/upstream/test_watch.py",
        ),
        remark="alarm BACK_OFFICE_LOST after 5 min; a silent line is found dead by two pings, 10 s each",
    ),
    Row(
        fault="back office asks for more, clears all",
        bar="0 / 0 / -",
        told=(Told(name="t_s", key="fault_raised_a", most=0.0, unit="A more than ours"),),
        tests=(
            "tests/adapters/upstream/test_relay.py::test_a_limit_of_32_a_never_lifts_our_10_a",
            "tests/controller/test_wishes.py",
        ),
    ),
    Row(
        fault="typo in the configuration",
        bar="load / 0 / -",
        told=(
            told_s("t_d"),
            Told(name="t_s", key="fault_changed_a", most=0.0, unit="A changed"),
        ),
        tests=(
            "tests/adapters/config/test_problems.py",
            "tests/adapters/running/test_hot_configuration.py::"
            "test_a_change_whose_cycles_fail_is_taken_back_with_an_alarm",
        ),
        remark="t_d: from the request of a running site to the refusal with the line; nothing is written",
    ),
    Row(
        fault="two controllers",
        bar="30 s / 30 s / operator",
        told=(told_s("t_d", 30.0),),
        tests=(
            "tests/adapters/running/test_one_controller.py::"
            "test_a_second_controller_is_refused_with_the_mend_until_the_first_has_ended",
        ),
        remark="as before: nothing looks for a controller on another machine",
        missing="one on the same store is refused at the start; one on another machine shows itself "
        "only by limits that stations do not obey",
    ),
    Row(
        fault="grid signal lost",
        bar="120 s, 1 s / +10 s / 2 h",
        told=(
            told_s("t_d", 120.0 + CYCLE_S),
            Told(name="t_d", key="fault_wire_s", most=1.0, unit="of a broken wire"),
            told_s("t_s", 10.0),
            Told(
                name="t_r",
                key="fault_least_s",
                most=7200.0 + CYCLE_S,
                unit="with the heartbeat alone",
            ),
            Told(name="t_r", key="fault_t_r_s", most=10.0, unit="with the limit too"),
        ),
        tests=(
            "tests/adapters/test_gridguard.py::"
            "test_a_heartbeat_that_stops_puts_the_failsafe_limit_in_force",
            "tests/adapters/test_gridguard.py::test_a_heartbeat_alone_ends_it_after_two_hours_only",
            "tests/adapters/test_gridguard.py::test_heartbeat_and_limit_end_it_at_once",
            "tests/adapters/test_gridguard.py::"
            "test_it_holds_for_as_long_as_nobody_is_heard_and_whatever_the_clock_does",
            "tests/adapters/test_gridguard.py::test_a_restart_forgets_neither_heartbeat_nor_failsafe",
            "tests/adapters/test_gridguard.py::test_a_running_site_is_limited_within_seconds",
            "tests/adapters/test_gridrelay.py::"
            "test_a_broken_wire_limits_a_running_site_within_a_second",
        ),
        remark="t_s: with real parts, from the loss, or from a relay's broken wire, to the lower limit in force",
    ),
    Row(
        fault="memory, processor pressure",
        bar="60 s / - / -",
        told=(told_s("t_d", 60.0),),
        tests=(
            "tests/adapters/test_pressure.py::"
            "test_a_lasting_shortage_is_told_in_a_minute_and_ends_by_itself",
            "tests/adapters/influx/test_uploader.py::"
            "test_nothing_is_sent_while_this_machine_is_short_and_all_of_it_afterwards",
            "tests/adapters/http/test_events.py::"
            "test_no_new_stream_while_this_machine_is_short_and_those_there_are_go_on",
            "tests/controller/test_cycle.py::"
            "test_cycles_that_are_late_twice_are_told_and_leave_history_out",
        ),
        remark="uploads and new event streams wait; history is left out when cycles are late",
    ),
    Row(
        fault="station's firmware changed",
        bar="boot / boot / drill",
        told=(
            told_s("t_d", 1.0),
            Told(name="t_s", key="fault_t_d_s", most=1.0),
            Told(name="t_r", key="fault_drills", most=1.0, unit="drill"),
        ),
        tests=(
            "tests/adapters/ocpp/test_trust.py::test_a_changed_firmware_is_doubted_at_its_boot",
            "tests/adapters/ocpp/test_trust.py::test_a_reboot_or_a_reconnection_ends_no_doubt",
            "tests/adapters/ocpp/test_trust.py::test_a_drill_settles_it",
            "tests/adapters/ocpp/test_trust.py::"
            "test_a_drill_counts_for_every_station_of_the_model_and_firmware",
            "tests/adapters/ocpp/test_drill.py::test_trust_follows_the_drill",
        ),
        remark="t_d, t_s: before its BootNotification is answered. Leases go out as before; while it is out of "
        "reach its rating counts. At its first connection a station is trusted as the site file says",
    ),
)
