import copy
import pickle

from deap import base

from toolbox.individual import Individual


def test_an_individual_survives_a_pickle_and_a_copy():
    individual = Individual([1, 2], weights=(1.0, -1.0))
    individual.fitness.values = (0.9, 100.0)
    for other in (pickle.loads(pickle.dumps(individual)), copy.deepcopy(individual)):
        assert other == individual
        assert type(other) is Individual
        assert other.fitness.values == (0.9, 100.0)
        assert other.fitness.weights == (1.0, -1.0)
        other[0] = 5
        del other.fitness.values
    assert individual == [1, 2]
    assert individual.fitness.valid


def test_a_copy_knows_its_origin_and_has_its_own_of_all_else():
    individual = Individual([1, 2], weights=(1.0,))
    individual.born, individual.made_by, individual.made_of = 3, ("mate:uniform",), (0, 1)
    individual.notes = ["of the user", individual]
    other = copy.deepcopy(individual)
    assert (other.born, other.made_by, other.made_of) == (3, ("mate:uniform",), (0, 1))
    assert other.notes is not individual.notes
    assert other.notes[0] == "of the user"
    assert other.notes[1] is other


def test_two_kinds_of_fitness_live_in_one_process():
    one, two = Individual([0], (1.0,)), Individual([0], (1.0, -1.0))
    one.fitness.values, two.fitness.values = (3.0,), (3.0, 4.0)
    assert (one.fitness.wvalues, two.fitness.wvalues) == ((3.0,), (3.0, -4.0))
    assert isinstance(one.fitness, base.Fitness)
