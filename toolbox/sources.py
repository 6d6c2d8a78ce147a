"""What other searches of the same space found, to be learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from toolbox.archive import Archive, Record, differences
from toolbox.judge import Judge, value_of
from toolbox.networks import Networks
from toolbox.operator_error import OperatorError
from toolbox.shelf import did_you_mean

NAMED = 3  # differences that an error tells
SEED = "problem.seed was "  # how a difference of seeds begins
NOTE = "learned_from"  # in an archive: of each source what was learned from, and its verdict
VERDICTS = {
    "chance": "what it found looks like chance, so that nothing is learned from it",
    "carries over": "its ranking of networks carries over to this search, and the guide uses it",
    "does not carry over": (
        "its ranking of networks does not carry over to this search; from now on the guide learns "
        "from this search alone"
    ),
    "outgrown": "this search has learned more by itself by now, and goes on without it",
}
Found = tuple[list[int], str, dict[str, float]]  # genome, architecture and measurement


@dataclass(frozen=True)
class Source:
    """What was found by the search, or by the seeds of one search, that `learn_from` names.

    name: as it is declared.  problem: what was declared of its problem, all that its measurements
    depend on.  networks: those that were measured, one that several seeds measured once for each.
    """

    name: str
    problem: Mapping[str, Any]
    networks: Sequence[Found]

    @classmethod
    def of(cls, name: str, archives: Sequence[Archive]) -> "Source":
        """Raises ValueError, one line, for archives that are no seeds of one search."""
        first = archives[0].problem
        for archive in archives[1:]:
            if changes := changes_but_seed(first, archive.problem):
                raise ValueError(
                    f"{archive.path} is no seed of the search of {archives[0].path} "
                    f"({'; '.join(changes[:NAMED])}); name each run folder"
                )
        records = [record for archive in archives for record in archive.networks()]
        return cls(name, first, [_found(record) for record in records if record.status == "ok"])

    @classmethod
    def kept(cls, name: str, table: Mapping[str, Any]) -> "Source":
        """What `table` told once."""
        networks = [(genome, text, measured) for genome, text, measured in table["networks"]]
        return cls(name, table["problem"], networks)

    def table(self) -> dict[str, Any]:
        """The source as JSON data, to be kept."""
        return {name: value for name, value in asdict(self).items() if name != "name"}

    def of_this_space(self, networks: Networks, identity: Mapping[str, Any]) -> "Source":
        """The same source without what is no network here.

        identity: what is declared of this search's problem.  Raises ValueError, one line that tells
        a difference, if the space is another one.
        """
        here, there = identity.get("space"), self.problem.get("space")
        if changes := differences(there, here, "problem.space"):
            raise ValueError(f"its space is another one ({'; '.join(changes[:NAMED])})")
        for genome, architecture, _ in self.networks:
            _check_meaning(genome, architecture, networks)
        inside = [found for found in self.networks if not networks.space.violation(found[0])]
        return replace(self, networks=inside)

    def known(self, networks: Networks) -> "Source":
        """The same source with the genomes that stand for its networks in this search, and with
        what is known of them here.

        Raises ValueError, one line, if an objective cannot be computed.
        """
        found = [
            (networks.identify(genome)[1], architecture, measured | networks.arithmetic(genome))
            for genome, architecture, measured in self.networks
        ]
        for _, _, measured in found:
            _check_measured(networks.judge, measured)
        return replace(self, networks=found)

    def records(self) -> list[Record]:
        """The networks as a judge reads them; their keys are no keys of an archive."""
        return [Record(text, genome, text, "ok", found) for genome, text, found in self.networks]


def changes_but_seed(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Where two problems differ beside their seeds, as a person would say it."""
    return [one for one in differences(there, here) if not one.startswith(SEED)]


def _found(record: Record) -> Found:
    return record.genome, record.architecture, record.measurement


def _check_meaning(genome: list[int], architecture: str, networks: Networks) -> None:
    """Raise ValueError if a genome is not the same network in this search."""
    genes = networks.space.genes
    if len(genome) != len(genes):
        named = ", ".join(gene.name for gene in genes)
        raise ValueError(
            f"its networks have {len(genome)} genes, those of this search {len(genes)}: {named}"
        )
    for gene, choice in zip(genes, genome, strict=True):
        if choice >= len(gene.choices):
            raise ValueError(
                f"its networks have more choices of {gene.name} than the {len(gene.choices)} here"
            )
    meant = networks.space.decode(list(genome))
    if meant != architecture:
        raise ValueError(
            f"its space is another one: the genome {genome} is {architecture!r} there and "
            f"{meant!r} here"
        )


def _check_measured(judge: Judge, measured: Mapping[str, float]) -> None:
    """Raise ValueError if a measurement lacks what an objective needs."""
    for objective in judge.objectives:
        for name in objective.needs:
            if name not in measured:
                raise ValueError(
                    f"the objective {objective.name!r} needs {name!r}, which was not measured "
                    f"there; measured are {', '.join(measured)}{did_you_mean(name, measured)}"
                )
        try:
            value_of(objective, measured)
        except OperatorError as error:
            raise ValueError(str(error)) from error
