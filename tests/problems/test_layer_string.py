import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from problems.networks.chain import build
from problems.spaces.chain import count
from problems.spaces.layer_string import ACTIVATIONS, LayerString, parse
from tests.conftest import REPOSITORY

GOLDEN = json.loads((REPOSITORY / "tests/golden/genome_strings.json").read_text())
SPACE = LayerString()


def genomes(space):
    return st.tuples(*(st.integers(0, len(gene.choices) - 1) for gene in space.genes)).map(list)


@st.composite
def networks(draw):
    """Genomes that are networks of SPACE, in every arrangement of their slots."""
    normal = draw(st.integers(1, 3))
    kinds = draw(st.permutations(["NC"] * normal + ["RC"] * 2 + ["off"] * (3 - normal)))
    genome = draw(genomes(SPACE))
    for slot, kind in zip(SPACE.slots, kinds, strict=True):
        genome[slot.start] = SPACE.kinds.index(kind)
    return genome


@pytest.mark.parametrize("row", GOLDEN["rows"], ids=lambda row: row["genome"])
def test_a_published_genome_string_has_its_published_parameters(row):
    genome = SPACE.encode(row["genome"])
    assert SPACE.decode(genome) == row["genome"]
    assert sum(c.params for c in count(SPACE.chain(genome), (1, 28, 28))) == row["params"]
    network = build(SPACE.chain(genome), (1, 28, 28))
    assert sum(parameter.numel() for parameter in network.parameters()) == row["params"]


@pytest.mark.parametrize("architecture", GOLDEN["layers"])
def test_a_published_genome_string_has_its_published_layers(architecture):
    counts = count(SPACE.chain(SPACE.encode(architecture)), (1, 28, 28))
    published = GOLDEN["layers"][architecture]
    shapes = [[*c.shape[1:], c.shape[0]] for c in counts if len(c.shape) == 3]
    assert shapes == published["shapes"]
    assert [c.params for c in counts if c.params] == published["params"]


@pytest.mark.parametrize(
    ("architecture", "part"),
    list(
        zip(
            GOLDEN["invalid"],
            ["1 RC", "3 RC", "filters 0", "kernel 8", "activation elu", "'FL activation;'"],
            strict=True,
        )
    ),
)
def test_an_invalid_genome_string_is_refused_with_its_offending_part(architecture, part):
    with pytest.raises(ValueError, match=re.escape(part)) as caught:
        SPACE.encode(architecture)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "part"),
    [
        ("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu", "does not end with ';'"),
        ("NC 4 relu;RC 4 3 relu;RC 4 3 relu;FL relu;", "'NC 4 relu'"),
        ("XC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;", "'XC 4 3 relu'"),
        ("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu tanh;", "'FL relu tanh'"),
        ("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL rel;", "did you mean 'relu'?"),
        ("NC 5 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;", "layer1.filters = 5"),
        ("NC 4 7 relu;RC 4 3 relu;RC 4 3 relu;FL relu;", "layer1.kernel = 7"),
        ("RC 4 3 relu;RC 4 3 relu;FL relu;", "0 NC layers"),
        ("", "does not end with 'FL activation;'"),
    ],
)
def test_a_genome_string_outside_the_space_is_refused_with_its_offending_part(architecture, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        SPACE.encode(architecture)


def test_a_genome_string_whose_shapes_collapse_is_refused():
    small = LayerString(image_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="layer 3: a kernel of 5 does not fit 3x3 pixels"):
        small.encode("NC 4 3 relu;RC 4 3 relu;RC 4 5 relu;FL relu;")


@given(networks())
def test_encode_and_decode_are_inverse(genome):
    assert SPACE.violation(genome) == ""
    architecture = SPACE.decode(genome)
    assert SPACE.decode(SPACE.encode(architecture)) == architecture
    assert SPACE.encode(architecture) == SPACE.canonical(genome)


@given(networks())
def test_canonical_genomes_are_the_same_exactly_for_the_same_network(genome):
    canonical = SPACE.canonical(genome)
    assert SPACE.canonical(canonical) == canonical
    assert SPACE.decode(canonical) == SPACE.decode(genome)


def test_inert_genes_do_not_make_another_network():
    genome = SPACE.encode("NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;")
    other = list(genome)
    inert = SPACE.slots[-1]
    assert SPACE.kinds[genome[inert.start]] == "off"
    other[inert.start + 1] = 3
    assert other != genome
    assert SPACE.canonical(other) == genome


@given(genomes(SPACE))
def test_a_genome_is_a_network_exactly_if_its_string_can_be_read(genome):
    violation = SPACE.violation(genome)
    try:
        SPACE.encode(SPACE.decode(genome))
    except ValueError:
        assert violation
    else:
        assert not violation


@given(networks())
@settings(max_examples=25, deadline=None)
def test_counted_parameters_are_the_module_s(genome):
    chain = SPACE.chain(genome)
    network = build(chain, SPACE.image_shape)
    assert sum(c.params for c in count(chain, SPACE.image_shape)) == sum(
        parameter.numel() for parameter in network.parameters()
    )


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"normal": (3, 1)}, "normal = [3, 1]"),
        ({"filters": (16, 2, 2)}, "filters = [16, 2, 2]"),
        ({"kernels": (3, 3)}, "kernels = [3, 3]: a choice is named twice"),
        ({"activations": ("elu",)}, "activations[0] = 'elu'"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(declared, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        LayerString(**declared)


def test_a_fixed_number_of_layers_needs_no_off_slots():
    fixed = LayerString(normal=(2, 2))
    assert fixed.kinds == ("NC", "RC")
    genome = fixed.encode("NC 4 3 relu;NC 4 3 relu;RC 4 3 relu;RC 4 3 relu;FL relu;")
    assert fixed.canonical(genome) == genome


def test_the_grammar_knows_all_activations_and_any_number_of_layers():
    layers = ";".join(f"NC 1 1 {activation}" for activation in ACTIVATIONS)
    parsed, head = parse(f"{layers};RC 300 7 relu;RC 1 1 relu;FL gelu;")
    assert len(parsed) == 7
    assert head == "gelu"
