import pytest
import torch

from problems.training.flight import Flight


class Trainings:
    """Pretended trainings: genome [steps, most] runs out of memory beside more than `most`."""

    def __init__(self):
        self.steps = []
        self.flying = 0

    def begin(self, genome):
        steps, most = genome
        self.flying += 1
        try:
            for step in range(steps):
                if self.flying > most:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory")
                self.steps.append((steps, step))
                yield False
            return {"steps": steps}
        finally:
            self.flying -= 1


def flown(genomes, most):
    trainings = Trainings()
    results = dict(Flight(trainings.begin, "cpu", most).results(genomes))
    return results, trainings


def test_one_after_another_on_a_cpu():
    results, trainings = flown([[2, 9], [3, 9]], most=None)
    assert results == {0: {"steps": 2}, 1: {"steps": 3}}
    assert trainings.steps == [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]


def test_several_take_turns_and_the_next_one_begins_when_one_is_done():
    results, trainings = flown([[2, 9], [3, 9], [1, 9]], most=2)
    assert results == {0: {"steps": 2}, 1: {"steps": 3}, 2: {"steps": 1}}
    assert trainings.steps == [(2, 0), (3, 0), (2, 1), (3, 1), (3, 2), (1, 0)]


def test_out_of_memory_in_company_is_tried_again_alone_and_halves_the_company(caplog):
    results, _ = flown([[4, 9], [4, 9], [4, 9], [4, 1], [4, 9]], most=4)
    assert results == {number: {"steps": 4} for number in range(5)}
    assert "from now on 2 networks are trained at a time" in caplog.text


def test_out_of_memory_alone_is_the_result_of_that_network_only():
    results, trainings = flown([[2, 9], [2, 0], [2, 9]], most=3)
    assert isinstance(results.pop(1), torch.cuda.OutOfMemoryError)
    assert results == {0: {"steps": 2}, 2: {"steps": 2}}
    assert trainings.flying == 0


def test_what_a_training_raises_is_its_result():
    def begin(genome):
        yield False
        raise FloatingPointError(f"of {genome}")

    ((number, error),) = Flight(begin, "cpu", None).results([[1]])
    assert (number, repr(error)) == (0, "FloatingPointError('of [1]')")


def test_genomes_are_asked_for_as_there_is_room_and_none_means_not_now():
    asked = []

    def genomes():
        for genome in ([5, 9], None, [1, 9], None, None):
            asked.append(genome)
            yield genome

    trainings = Trainings()
    results = Flight(trainings.begin, "cpu", 2).results(genomes())
    assert next(results) == (1, {"steps": 1})
    assert trainings.steps == [(5, 0), (5, 1), (1, 0), (5, 2)]
    assert dict(results) == {0: {"steps": 5}}


def test_a_network_that_wants_the_device_for_itself_gets_it_before_it_joins():
    order = []

    def begin(genome):
        (name,) = genome
        for alone in (True, True, False, False):
            order.append(name)
            yield alone
        return {}

    dict(Flight(begin, "cpu", 2).results([[1], [2]]))
    assert order == [1, 1, 1, 2, 2, 2, 1, 2]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_no_memory_is_left_behind_by_a_network_on_a_gpu():
    def begin(genome):
        kept = torch.ones(1 << 20, device="cuda:0")
        yield bool(kept.sum())
        return {}

    flight = Flight(begin, "cuda:0")
    dict(flight.results([[1]]))
    before = torch.cuda.memory_allocated()
    assert all(result["peak_memory_bytes"] >= 4 << 20 for _, result in flight.results([[1]] * 40))
    assert torch.cuda.memory_allocated() == before
