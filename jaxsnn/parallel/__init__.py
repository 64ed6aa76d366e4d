"""Several devices: data-parallel training of one network, and populations of networks, on a named mesh."""

from jaxsnn.parallel.data import AXIS, Gradients, check_batch, data_mesh, data_parallel, replicate
from jaxsnn.parallel.fit import Trained, fit_population, train_population
from jaxsnn.parallel.memory import members_that_fit, memory_limit
from jaxsnn.parallel.population import (
    POPULATION,
    Member,
    Population,
    create_population,
    default_at_once,
    grid,
    make_population_evaluate,
    make_population_step,
    over_members,
    population_mesh,
)

__all__ = [
    "AXIS",
    "POPULATION",
    "Gradients",
    "Member",
    "Population",
    "Trained",
    "check_batch",
    "create_population",
    "data_mesh",
    "data_parallel",
    "default_at_once",
    "fit_population",
    "grid",
    "make_population_evaluate",
    "make_population_step",
    "members_that_fit",
    "memory_limit",
    "over_members",
    "population_mesh",
    "replicate",
    "train_population",
]
