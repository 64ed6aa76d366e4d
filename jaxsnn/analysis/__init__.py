"""Numbers about networks: the firing of each layer, its operations and energy, the time until they answer."""

from jaxsnn.analysis.activity import SATURATED, SILENT, LayerActivity, activity, warnings
from jaxsnn.analysis.answers import (
    Answers,
    EarlyExit,
    Readout,
    accuracy_per_class,
    answers,
    confusion,
    early_exit,
    steps_needed,
)
from jaxsnn.analysis.comparison import Needed, common_accuracy, needed
from jaxsnn.analysis.energy import ASSUMPTIONS, MEMORIES, NEURONS, TABLES, Counts, EnergyTable, counts, energy
from jaxsnn.analysis.energy_report import EnergyReport, LayerEnergy, Total
from jaxsnn.analysis.firing import Firing
from jaxsnn.analysis.neurobench import NeuroBench, neurobench
from jaxsnn.analysis.operations import dense_operations, fan_out, synaptic_operations
from jaxsnn.analysis.profile import Profile, RunProfile, make_profile

__all__ = [
    "ASSUMPTIONS",
    "MEMORIES",
    "NEURONS",
    "SATURATED",
    "SILENT",
    "TABLES",
    "Answers",
    "Counts",
    "EarlyExit",
    "EnergyReport",
    "EnergyTable",
    "Firing",
    "LayerActivity",
    "LayerEnergy",
    "Needed",
    "NeuroBench",
    "Profile",
    "Readout",
    "RunProfile",
    "Total",
    "accuracy_per_class",
    "activity",
    "answers",
    "common_accuracy",
    "confusion",
    "counts",
    "dense_operations",
    "early_exit",
    "energy",
    "fan_out",
    "make_profile",
    "needed",
    "neurobench",
    "steps_needed",
    "synaptic_operations",
    "warnings",
]
