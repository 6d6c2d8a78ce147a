"""Algorithms: `(population, toolbox, ...) -> population`, one generation a call."""

from toolbox.algorithms.deap_algorithms import ea_mu_comma_lambda, ea_mu_plus_lambda, ea_simple
from toolbox.algorithms.genetic_algorithm import genetic_algorithm
from toolbox.algorithms.islands import islands
from toolbox.algorithms.nsga2 import nsga2
from toolbox.algorithms.nsga3 import nsga3
from toolbox.algorithms.random_search import random_search
from toolbox.algorithms.regularized_evolution import regularized_evolution
from toolbox.algorithms.spea2 import spea2
from toolbox.algorithms.steady_state import steady_state

ALGORITHMS = {
    "eaMuCommaLambda": ea_mu_comma_lambda,
    "eaMuPlusLambda": ea_mu_plus_lambda,
    "eaSimple": ea_simple,
    "genetic_algorithm": genetic_algorithm,
    "islands": islands,
    "nsga2": nsga2,
    "nsga3": nsga3,
    "random_search": random_search,
    "regularized_evolution": regularized_evolution,
    "steady_state": steady_state,
    "spea2": spea2,
}
